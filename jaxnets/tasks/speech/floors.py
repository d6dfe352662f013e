"""Baselines: how often each word occurs, and logistic regression of spectrograms."""

import warnings

import numpy as np


# A spectrogram of any length becomes its means over so many equal parts of the time.
PARTS = 4
STRENGTH = 0.1


def floors(
    training: list[tuple[np.ndarray, int]], validation: list[tuple[np.ndarray, int]]
) -> dict[str, float]:
    """Return the losses of the frequencies of words and of logistic regression."""
    x, y = _means(training)
    found, labels = _means(validation)
    counts = np.bincount(y) / len(y)
    regression = _fitted(x, y)
    place = np.searchsorted(regression[-1].classes_, labels)
    log_p = regression.predict_log_proba(found)
    return {
        "floor": float(-np.log(counts[labels]).mean()),
        "logistic_regression": float(-log_p[np.arange(len(labels)), place].mean()),
    }


def floor_accuracy(
    training: list[tuple[np.ndarray, int]], test: list[tuple[np.ndarray, int]]
) -> float:
    """Return the share of the test words that logistic regression recognises."""
    return float(_fitted(*_means(training)).score(*_means(test)))


def _means(words: list[tuple[np.ndarray, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of the parts of each spectrogram, and the classes."""
    rows = []
    for spectrogram, _ in words:
        ends = np.linspace(0, len(spectrogram), PARTS + 1)
        spans = zip(np.floor(ends[:-1]), np.ceil(ends[1:]), strict=True)
        means = [spectrogram[int(a) : int(b)].mean(axis=0) for a, b in spans]
        rows.append(np.concatenate(means))
    return np.stack(rows), np.array([word for _, word in words])


def _fitted(x: np.ndarray, y: np.ndarray):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH))
    with warnings.catch_warnings():
        # It may stop at its number of iterations, where its loss hardly changes.
        warnings.simplefilter("ignore")
        return model.fit(x, y)
