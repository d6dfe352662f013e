"""What the page of a run shows: which words are confused, and what each frame says."""

import jax
import numpy as np
from flax import nnx

from jaxnets.runs.exhibits import Exhibit, Matrix, Text
from jaxnets.tasks.speech.floors import Regression
from jaxnets.tasks.speech.network import (
    BLANK,
    POOL,
    Network,
    Utterances,
)
from jaxnets.tasks.speech.search import search
from jaxnets.tasks.task import Outcome


# Most frames of the string that is shown, and number of strings that are listed.
SHOWN, LISTED = 200, 10


def results(
    words: list[str],
    floor: Regression,
    single: Utterances,
    strings: Utterances,
    model: Network,
) -> Outcome:
    """Return the scores of the floor, and what the network makes of the test split.

    Args:
        words: The words of the classes from 1 on.
        floor: The baseline.
        single: Single words of the test split.
        strings: Strings of words of the test split.
        model: The trained network.
    """
    heard, _ = _heard(model, single, 2)
    said, logits = _heard(model, strings, 2 * np.shape(strings.labels)[1])
    labels = np.asarray(single.labels)[:, 0]
    right = (heard[:, 0] == labels) & (heard[:, 1] == BLANK)
    metrics = {
        "search_accuracy": float(right.mean()),
        "floor_accuracy": floor.accuracy(single),
        "string_errors": string_errors(np.asarray(strings.labels), said),
        "floor_string_errors": 1 - floor.accuracy(strings),
    }
    exhibits = [
        _confusion(words, labels, heard),
        *_one_string(words, strings, logits),
        _listed(words, np.asarray(strings.labels), said),
    ]
    return Outcome(metrics, exhibits)


def string_errors(labels: np.ndarray, said: np.ndarray) -> float:
    """Return the errors in strings as a share of the words that were said.

    The errors of a string are the fewest words that have to be put in, left out or
    replaced in what was heard. So the share can be above 1.

    Args:
        labels: Classes of the words that were said, 0 after the last, `(B, L)`.
        said: Those of what was heard, `(B, N)`.

    Example:
        >>> string_errors(np.array([[3, 1, 2]]), np.array([[3, 2, 4, 0]]))
        0.666...
    """
    errors = sum(
        _distance(row[row != BLANK].tolist(), found[found != BLANK].tolist())
        for row, found in zip(labels, said, strict=True)
    )
    return errors / int((labels != BLANK).sum())


def _distance(one: list[int], other: list[int]) -> int:
    """Return the edit distance of Levenshtein."""
    before = list(range(len(other) + 1))
    for number, word in enumerate(one, 1):
        row = [number]
        for k, heard in enumerate(other):
            row.append(min(before[k] + (word != heard), before[k + 1] + 1, row[k] + 1))
        before = row
    return before[-1]


def _heard(
    model: Network, data: Utterances, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes that the network hears, and its logits."""
    logits = nnx.jit(model)(data.x, data.lengths)
    frames = np.asarray(data.lengths) // POOL
    found = jax.jit(search, static_argnames="most")(logits, frames, most=most)
    return np.asarray(found), np.asarray(logits)


def _confusion(words: list[str], labels: np.ndarray, heard: np.ndarray) -> Exhibit:
    """Count what is heard for each word; none or several words have a column."""
    one = np.where((heard[:, 0] > 0) & (heard[:, 1] == 0), heard[:, 0], len(words) + 1)
    counts = np.zeros((len(words), len(words) + 1))
    np.add.at(counts, (labels - 1, one - 1), 1)
    return Matrix(
        "Confusion of single words",
        "Each row is a word that was said, each column what the network heard. What "
        "lies off the diagonal is wrong.",
        words,
        [*words, "none or several"],
        counts.tolist(),
        "recordings",
    )


def _one_string(
    words: list[str], strings: Utterances, logits: np.ndarray
) -> list[Exhibit]:
    """Return the spectrogram of the first string, and the chances at each frame."""
    frames = min(SHOWN, int(np.asarray(strings.lengths)[0]))
    spectrogram = np.asarray(strings.x)[0, :frames]
    chances = np.asarray(jax.nn.softmax(logits[0, : frames // POOL], axis=-1))
    said = " ".join(words[word - 1] for word in np.asarray(strings.labels)[0])
    # The step from a frame to the next is 10 ms.
    times = lambda count, step: [f"{0.01 * step * i:.2f} s" for i in range(count)]
    return [
        Matrix(
            f"Spectrogram of “{said}”",
            "The energy in each band over time, with high frequencies at the top. The "
            "recordings of the test split follow each other without a pause.",
            [f"band {band}" for band in reversed(range(spectrogram.shape[1]))],
            times(frames, 1),
            spectrogram.T[::-1].tolist(),
            "log energy",
        ),
        Matrix(
            "What each frame says",
            "The probability of each word at each frame of the same string. Between "
            "its peaks the network is sure of none, which is the row `blank`.",
            ["blank", *words],
            times(len(chances), POOL),
            chances.T.tolist(),
            "probability",
        ),
    ]


def _listed(words: list[str], labels: np.ndarray, said: np.ndarray) -> Exhibit:
    spelled = lambda row: " ".join(words[word - 1] for word in row if word)
    lines = [
        f"said:  {spelled(row)}\nheard: {spelled(found)}"
        for row, found in zip(labels[:LISTED], said[:LISTED], strict=True)
    ]
    return Text(
        "Strings of words",
        f"The first {len(lines)} strings of the test split and what the network heard.",
        "\n\n".join(lines),
    )
