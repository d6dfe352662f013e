"""The tasks of the study of time, each of any length."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets import models, training
from jaxnets.data import Labelled, Splits, adding_problem, copy_memory
from jaxnets.data import digits_by_pixel as load_digits
from jaxnets.typing import ArrayLike, Key


SYMBOLS, PAYLOAD = 8, 10


class ReadOutAtEnd(models.ManyToOne):
    """A recurrent layer and a linear layer on its outputs at the last steps."""

    def __call__(
        self, x: Float[ArrayLike, "batch time features"]
    ) -> Float[Array, "batch payload outputs"]:
        """Return the logits of the symbols to repeat."""
        _, ys = self.recurrent(x)
        return self.output(ys[:, -PAYLOAD:])


class Task(NamedTuple):
    """A task of the study.

    Attributes:
        draw: `draw(key, count, length, split)` draws sequences `(count, length,
            features)` and their targets; `split` is "train", "validation" or "test".
        loss: What the networks minimise.
        baseline: The loss of the best network without memory.
        outputs: Number of outputs.
        network: Kind of network.
        answers: Number of steps, at the end, after which the network answers.
    """

    draw: Callable[[Key, int, int, str], Labelled]
    loss: training.Loss
    baseline: float
    outputs: int
    network: type[models.ManyToOne] = models.ManyToOne
    answers: int = 1


def adding(key: Key, count: int, length: int, split: str) -> Labelled:
    """Draw sequences of which two marked numbers are to be added."""
    del split
    return adding_problem(key, count, length)


def copying(key: Key, count: int, length: int, split: str) -> Labelled:
    """Draw symbols that are to be repeated in the last steps; only these count.

    A loss at every step would reward the network for what needs no memory, and its
    gradient would arrive at all steps.
    """
    del split
    lag = length - 2 * PAYLOAD
    x, y = copy_memory(key, count, lag, symbols=SYMBOLS, payload=PAYLOAD)
    return Labelled(jax.nn.one_hot(x, SYMBOLS + 2), y[:, -PAYLOAD:])


def digits(key: Key, count: int, length: int, split: str) -> Labelled:
    """Draw images of digits, one pixel a step, and then blank steps."""
    x, y = getattr(_digits(), split)
    rows = jax.random.randint(key, (count,), 0, len(y))
    blank = ((0, 0), (0, length - x.shape[1]), (0, 0))
    return Labelled(jnp.pad(jnp.asarray(x)[rows], blank), jnp.asarray(y)[rows])


@functools.cache
def _digits() -> Splits:
    return load_digits()


# By the names in `jaxnets.runs.catalogue.MEMORY_TASKS`.
TASKS = {
    "adding": Task(adding, training.regression, 1 / 6, 1),
    "copying": Task(
        copying,
        training.classification,
        math.log(SYMBOLS),
        SYMBOLS,
        ReadOutAtEnd,
        PAYLOAD,
    ),
    "digits": Task(digits, training.classification, math.log(10), 10),
}
