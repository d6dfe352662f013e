"""What the page of a run shows: the kernels as logos, and which bases decide."""

import numpy as np
from flax import nnx

from jaxnets.data import Labelled
from jaxnets.runs.exhibits import Exhibit, Logo, Marked, Matrix
from jaxnets.tasks.dna.network import WINDOW, Network
from jaxnets.tasks.dna.positions import position_weights_accuracy
from jaxnets.tasks.dna.sequences import BASES
from jaxnets.tasks.task import Outcome


# Kernels and sequences that are shown, and how many windows a logo is made of.
LOGOS, SEQUENCES, WINDOWS = 4, 2, 100


def results(
    classes: list[str], training: Labelled, test: Labelled, model: Network
) -> Outcome:
    """Return the accuracy of the table, and what the network has found.

    Args:
        classes: The names of the classes.
        training: The sequences that the table is made of.
        test: Those that are judged.
        model: The trained network.
    """
    x, y = np.asarray(test.x), np.asarray(test.y)
    found = np.asarray(nnx.jit(model)(x)).argmax(axis=1)
    counts = np.zeros((len(classes), len(classes)))
    np.add.at(counts, (y, found), 1)
    confusion = Matrix(
        "Confusion",
        "Each row is a class of the test split, each column what the network says.",
        classes,
        classes,
        counts.tolist(),
        "sequences",
    )
    floor = position_weights_accuracy(training, test)
    exhibits = [confusion, *_logos(model, x)]
    exhibits += [_saliency(model, x[row], classes[y[row]]) for row in _shown(y)]
    return Outcome({"floor_accuracy": floor}, exhibits)


def _logos(model: Network, x: np.ndarray) -> list[Exhibit]:
    """Return logos of the windows to which the most selective kernels respond."""
    responses = np.asarray(nnx.jit(lambda model, x: model.responses(x))(model, x))
    padded = np.pad(x, ((0, 0), (WINDOW // 2, WINDOW - 1 - WINDOW // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)
    logos = []
    for kernel in np.flatnonzero(responses.max(axis=(0, 1))):
        order = np.argsort(-responses[..., kernel], axis=None, kind="stable")
        rows, places = np.unravel_index(order[:WINDOWS], responses.shape[:2])
        logos.append((kernel, logo_heights(windows[rows, places].transpose(0, 2, 1))))
    logos.sort(key=lambda logo: -logo[1].sum())
    return [
        Logo(
            f"Kernel {kernel}",
            f"The {WINDOWS} windows of the test split to which this kernel responds "
            "most. A position has at most 2 bits, if all have the same base there.",
            [dict(zip(BASES, map(float, row), strict=True)) for row in heights],
        )
        for kernel, heights in logos[:LOGOS]
    ]


def logo_heights(windows: np.ndarray) -> np.ndarray:
    """Return the height of each base at each position in bits, `(WINDOW, 4)`.

    It is the base's share, times the information of the position: 2 bits less the
    entropy of the shares.

    Source: Schneider and Stephens 1990, "Sequence logos".
    """
    counts = windows.sum(axis=0)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    logs = np.log2(np.where(shares > 0, shares, 1))
    information = 2 + (shares * logs).sum(axis=1, keepdims=True)
    return shares * information


def _shown(y: np.ndarray) -> list[int]:
    """Return the first sequence of each of the first classes."""
    return [int(np.flatnonzero(y == label)[0]) for label in np.unique(y)[:SEQUENCES]]


def base_effects(model: Network, sequence: np.ndarray, label: int) -> np.ndarray:
    """Return by how much each base raises the log-probability of a class, `(T,)`.

    It is the log-probability less its mean over the four bases at that position.

    Args:
        model: The network.
        sequence: `(T, 4)`.
        label: The class.
    """
    run = nnx.jit(model)

    def log_p(rows: np.ndarray) -> np.ndarray:
        logits = np.asarray(run(rows), np.float64)
        return logits[:, label] - np.logaddexp.reduce(logits, axis=1)

    same = np.tile(sequence, (len(BASES), 1, 1))
    means = []
    # Position by position: all changes of a long sequence would not fit into memory.
    for place in range(len(sequence)):
        changed = same.copy()
        changed[:, place] = np.eye(len(BASES))
        means.append(log_p(changed).mean())
    return log_p(same)[0] - np.array(means)


def _saliency(model: Network, sequence: np.ndarray, name: str) -> Exhibit:
    logits = np.asarray(nnx.jit(model)(sequence[None]))[0]
    effects = base_effects(model, sequence, int(logits.argmax()))
    largest = np.abs(effects).max() + 1e-9
    # A letter of several bases has shares that are not 1.
    letters = [BASES[row.argmax()] if row.max() == 1 else "N" for row in sequence]
    return Marked(
        f"Which bases decide: a sequence of the class {name}",
        "The number of a base is by how much it raises the log-probability of what the "
        "network says, beside the mean of all four bases at its position, as a share "
        f"of the largest, {largest:.2g}.",
        letters,
        (effects / largest).tolist(),
        "share",
    )
