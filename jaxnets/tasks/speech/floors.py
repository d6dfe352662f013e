"""Baselines: how often each word occurs, and logistic regression of spectrograms."""

import warnings
from collections.abc import Sequence

import numpy as np

from jaxnets.tasks.speech.network import BLANK, Utterances
from jaxnets.tasks.speech.spectrograms import Word


# A spectrogram of any length becomes its means over so many equal parts of the time.
PARTS = 4
STRENGTH = 0.1


class Regression:
    """Logistic regression of the mean spectra of the parts of a word.

    Args:
        training: The words that it is fitted to.
    """

    def __init__(self, training: Sequence[Word]):
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH))
        with warnings.catch_warnings():
            # It may stop at its number of iterations, where its loss hardly changes.
            warnings.simplefilter("ignore")
            self._model.fit(*_means(training))

    def loss(self, words: Sequence[Word]) -> float:
        """Return the loss in nats a word."""
        x, labels = _means(words)
        place = np.searchsorted(self._model[-1].classes_, labels)
        log_p = self._model.predict_log_proba(x)
        return float(-log_p[np.arange(len(labels)), place].mean())

    def accuracy(self, strings: Utterances) -> float:
        """Return the share of the words of strings that it recognises.

        It is told how many words a string has, and cuts it into so many equal parts.
        """
        words = []
        for x, length, labels in zip(*map(np.asarray, strings), strict=True):
            found = labels[labels != BLANK]
            parts = np.array_split(x[:length], len(found))
            words += zip(parts, found.tolist(), strict=True)
        return float(self._model.score(*_means(words)))


def frequency_loss(training: Sequence[Word], words: Sequence[Word]) -> float:
    """Return the loss of the frequencies of the words in training."""
    labels = np.array([label for _, label in training])
    counts = np.bincount(labels) / len(labels)
    return float(-np.log(counts[[label for _, label in words]]).mean())


def _means(words: Sequence[Word]) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of the parts of each spectrogram, and the classes."""
    rows = []
    for spectrogram, _ in words:
        ends = np.linspace(0, len(spectrogram), PARTS + 1)
        spans = zip(np.floor(ends[:-1]), np.ceil(ends[1:]), strict=True)
        means = [spectrogram[int(a) : int(b)].mean(axis=0) for a, b in spans]
        rows.append(np.concatenate(means))
    return np.stack(rows), np.array([word for _, word in words])
