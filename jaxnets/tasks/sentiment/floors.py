"""The baseline: logistic regression of which words a sentence has."""

from typing import Any

import numpy as np

from jaxnets.tasks.sentiment.sentences import Sentences


# The inverse of the penalty of the weights.
STRENGTH = 0.3


class BagOfWords:
    """Logistic regression of the words of a sentence, in whatever order.

    Args:
        training: The sentences that it is fitted to.
        codes: Number of codes of words.
    """

    def __init__(self, training: Sentences, codes: int):
        from sklearn.linear_model import LogisticRegression

        self._codes = codes
        self._model = LogisticRegression(C=STRENGTH, max_iter=300)
        self._model.fit(self._present(training), np.asarray(training.y))

    def loss(self, data: Sentences) -> float:
        """Return the loss in nats."""
        log_p = self._model.predict_log_proba(self._present(data))
        return float(-np.take_along_axis(log_p, np.asarray(data.y)[:, None], 1).mean())

    def accuracy(self, data: Sentences) -> float:
        """Return the share of sentences that it judges rightly."""
        return float(self._model.score(self._present(data), np.asarray(data.y)))

    def _present(self, data: Sentences) -> Any:
        """Return which words a sentence has, as a sparse matrix `(B, codes)`."""
        from scipy.sparse import csr_matrix

        words, lengths = np.asarray(data.words), np.asarray(data.lengths)
        pairs = {
            (row, int(code))
            for row, length in enumerate(lengths)
            for code in words[row, :length]
        }
        rows, columns = zip(*sorted(pairs), strict=True)
        shape = (len(words), self._codes)
        return csr_matrix((np.ones(len(rows)), (rows, columns)), shape)
