"""DNA: a network that tells classes of sequences apart, by motifs and positions."""

import functools
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from scipy.special import log_softmax, logsumexp

from jaxnets import functional as F
from jaxnets import models, nn
from jaxnets.data import Labelled, Splits
from jaxnets.data.splits import split_off
from jaxnets.tasks.task import Prepared, Task
from jaxnets.training import Recipe, classification, rows_of_step
from jaxnets.training.trainer.order import generator


CHANNELS, WINDOW, POOL, HIDDEN, DROPOUT = 64, 9, 3, 32, 0.5
BASES = "ACGT"
# The letters of IUPAC, which stand for one of several bases.
TWO = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"}
THREE = {"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"}
LETTERS = {base: base for base in BASES} | TWO | THREE | {"N": BASES}
MOST_BYTES, MOST_CLASSES = 100_000_000, 20
# The default: a motif somewhere in a sequence, or none. The consensus of the two ends
# of introns, donor and acceptor, each of whose letters is drawn with this probability.
MOTIFS, SHARE = ("CAGGTAAGT", "TTTTCAGGT"), 0.85
COUNT, LENGTH = 4000, 60


def prepare(recipe: Recipe, data: Path | None) -> Prepared:
    """Load sequences, and draw each epoch in a new order.

    Args:
        recipe: Its seed and batch size decide the order.
        data: A file with a line `class, name, sequence` for each sequence, such as
            UCI's `splice.data` and `promoters.data`; None generates sequences with
            motifs that are known.

    Raises:
        ValueError: If the file is not of that form, or too small.
        OSError: If it cannot be read.
    """
    if data is None:
        names, splits = ["donor", "acceptor", "neither"], planted_motifs()
    else:
        names, splits = read_sequences(data)
    training, validation, test = splits
    count = len(training.y)
    if recipe.batch_size > count:
        raise ValueError(
            f"`batch_size` is {recipe.batch_size}, and there are {count} training "
            "sequences; wanted at most that many."
        )

    def batch(step: int) -> Labelled:
        rows = rows_of_step(recipe.seed, step, count, recipe.batch_size)
        return Labelled(training.x[rows], training.y[rows])

    def floors() -> dict[str, float]:
        chances = np.bincount(training.y, minlength=len(names)) / count
        found = {
            "floor": float(-np.log(chances[validation.y]).mean()),
            "position_weights": position_weights_loss(training, validation),
        }
        return found | ({"optimum": optimum(validation)} if data is None else {})

    make = functools.partial(Network, length=training.x.shape[1], classes=len(names))
    loss = functools.partial(classification, label_smoothing=recipe.label_smoothing)
    evaluation = {"validation": validation, "test": test}
    return Prepared(make, loss, batch, evaluation, {"classes": names}, floors)


class Network(nnx.Module):
    """Kernels and a recurrent layer for motifs at any place, and weights of positions.

    The sequences of UCI are aligned, so that a linear layer of all positions is hard to
    beat there; it sees no motif whose place varies.
    """

    def __init__(self, rngs: nnx.Rngs, length: int, classes: int):
        self.conv = nn.Conv(len(BASES), CHANNELS, (WINDOW,), rngs=rngs)
        self.head = models.ManyToOne(
            nn.GRU, CHANNELS, HIDDEN, classes, bidirectional=True, rngs=rngs
        )
        self.positions = nnx.Linear(length * len(BASES), classes, rngs=rngs)
        # UCI's files are small: without dropout the network learns them by heart.
        self.motif_dropout = nnx.Dropout(DROPOUT, rngs=rngs)
        self.position_dropout = nnx.Dropout(DROPOUT / 2, rngs=rngs)

    def __call__(self, x) -> jax.Array:
        """Return the logits of sequences `x (B, T, 4)`."""
        motifs = F.max_pool(jax.nn.relu(self.conv(x)), (POOL,))
        positions = self.position_dropout(x).reshape(len(x), -1)
        return self.head(self.motif_dropout(motifs)) + self.positions(positions)


def read_sequences(path: Path) -> tuple[list[str], Splits]:
    """Return the names of the classes and the sequences of a file, without repetitions.

    A sequence that occurs several times counts once, with its first class: otherwise
    some of those for validation would be known from training.

    Raises:
        ValueError: If the file is too large, or a line is not `class, name, sequence`.
        OSError: If it cannot be read.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; wanted a file of sequences.")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(
            f"{path} has more than {MOST_BYTES} bytes; wanted a smaller file."
        )
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in ASCII: {error}.") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            name, sequence = _parsed(line, f"{path}, line {number}")
            length = len(next(iter(found), sequence))
            if len(sequence) != length:
                raise ValueError(
                    f"{path}, line {number}: the sequence has {len(sequence)} letters, "
                    f"and those before have {length}. Is the file cut off?"
                )
            found.setdefault(sequence, name)
    names = sorted(set(found.values()))
    if not 2 <= len(names) <= MOST_CLASSES:
        raise ValueError(
            f"{path} has {len(names)} classes; wanted 2 to {MOST_CLASSES}, in lines "
            "`class, name, sequence`."
        )
    letters = np.zeros((128, len(BASES)), np.float32)
    for letter, bases in LETTERS.items():
        letters[ord(letter), [BASES.index(base) for base in bases]] = 1 / len(bases)
    codes = np.frombuffer("".join(found).encode(), np.uint8).reshape(len(found), -1)
    y = np.array([names.index(name) for name in found.values()], np.int32)
    rest, test = split_off(letters[codes], y, 0.1, 0, str(path))
    x, y = np.asarray(rest.x), np.asarray(rest.y)
    return names, Splits(*split_off(x, y, 1 / 9, 0, str(path)), test)


def _parsed(line: str, where: str) -> tuple[str, str]:
    """Return the class and the sequence of a line."""
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != 3 or not all(fields):
        raise ValueError(
            f"{where} is {line[:40]!r}; wanted `class, name, sequence`, as in UCI's "
            "splice.data."
        )
    name, _, sequence = fields
    if unknown := sorted(set(sequence.upper()) - set(LETTERS)):
        raise ValueError(
            f"{where}: the sequence has {unknown[0]!r}; wanted the letters "
            f"{''.join(LETTERS)}."
        )
    return name, sequence.upper()


def planted_motifs() -> Splits:
    """Return sequences of random bases, two thirds of them with a motif somewhere.

    Example:
        >>> [len(split.y) for split in planted_motifs()]
        [3200, 400, 400]
    """
    draw = generator(0, 0)
    y = draw.integers(0, len(MOTIFS) + 1, COUNT).astype(np.int32)
    codes = draw.integers(0, len(BASES), (COUNT, LENGTH))
    for row, label in enumerate(y):
        if label < len(MOTIFS):
            cumulated = np.cumsum(_weights(MOTIFS[label]), axis=1)
            start = draw.integers(0, LENGTH - len(cumulated) + 1)
            drawn = (draw.random((len(cumulated), 1)) > cumulated[:, :-1]).sum(axis=1)
            codes[row, start : start + len(drawn)] = drawn
    x, ends = np.eye(len(BASES), dtype=np.float32)[codes], [0, 3200, 3600, COUNT]
    parts = (slice(*ends[i : i + 2]) for i in range(3))
    return Splits(*(Labelled(x[part], y[part]) for part in parts))


def _weights(motif: str) -> np.ndarray:
    """Return the probabilities of the bases at each letter of a motif, `(W, 4)`."""
    ones = np.array([[base == letter for base in BASES] for letter in motif])
    return np.where(ones, SHARE, (1 - SHARE) / (len(BASES) - 1))


def optimum(data: Labelled) -> float:
    """Return the loss of Bayes' rule for `planted_motifs`; on average none is lower.

    The odds of a motif against none are the mean over its places.
    """
    odds = [np.zeros(len(data.y))]
    for motif in reversed(MOTIFS):
        gain = np.log(_weights(motif) * len(BASES))
        windows = np.lib.stride_tricks.sliding_window_view(data.x, len(motif), axis=1)
        scores = np.einsum("btcw,wc->bt", windows, gain)
        odds.insert(0, logsumexp(scores, axis=1) - np.log(scores.shape[1]))
    return _loss(np.stack(odds, axis=1), data.y)


def position_weights_loss(training: Labelled, data: Labelled) -> float:
    """Return the loss of a table of the bases at each position (naive Bayes)."""
    classes = range(int(np.max(training.y)) + 1)
    x, y = np.asarray(training.x), np.asarray(training.y)
    counts = np.stack([x[y == label].sum(axis=0) + 1 for label in classes])
    logs = np.log(counts / counts.sum(axis=-1, keepdims=True))
    prior = np.log(np.bincount(y) / len(y))
    return _loss(prior + np.einsum("btc,ktc->bk", data.x, logs), data.y)


def _loss(scores: np.ndarray, labels) -> float:
    log_p = log_softmax(scores, axis=1)
    return float(-np.take_along_axis(log_p, np.asarray(labels)[:, None], 1).mean())


TASK = Task(
    "dna",
    Recipe(
        steps=600,
        batch_size=64,
        learning_rate=3e-3,
        optimizer="adamw",
        weight_decay=0.1,
        warmup=20,
        evaluate_every=100,
        checkpoint_every=100,
    ),
    prepare,
)
