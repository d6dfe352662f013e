"""The points that the study of theory measures, and networks drawn for all seeds."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Point(NamedTuple):
    """A value that was measured for a claim, with its prediction.

    Attributes:
        family: Name of the line that the point belongs to.
        x: Coordinate on the horizontal axis.
        measured: Measured values, `(seeds,)`.
        predicted: The prediction: a number, or `(seeds,)` if it is a property of each
            network.
        refined: The prediction without the approximation that the claim makes; None if
            the claim makes none that matters.
    """

    family: str
    x: float
    measured: np.ndarray
    predicted: float | np.ndarray
    refined: float | None = None


class Measurement(NamedTuple):
    """All points of a claim, and the number of weights of its largest network."""

    points: list[Point]
    parameters: int


class Networks:
    """Draws and measures the networks of all seeds.

    One compiled program takes the seeds in turn, so that memory holds the weights of
    one network at a time.

    Attributes:
        seeds: Seeds of the networks.
        compile_seconds: Seconds that compiling has taken so far.
    """

    def __init__(self, seeds: Sequence[int]):
        self.seeds = tuple(seeds)
        self.compile_seconds = 0.0

    def measure(self, of_key: Callable[[jax.Array], jax.Array]) -> np.ndarray:
        """Return the values of `of_key` at the keys of all seeds, `(seeds, ...)`."""
        keys = jax.vmap(jax.random.key)(jnp.asarray(self.seeds))
        started = time.perf_counter()
        program = jax.jit(lambda keys: jax.lax.map(of_key, keys)).lower(keys).compile()
        self.compile_seconds += time.perf_counter() - started
        return np.asarray(program(keys), np.float64)


def slopes(lines: np.ndarray) -> np.ndarray:
    """Return the least-squares slope along the last axis of `lines`."""
    x = np.arange(lines.shape[-1]) - (lines.shape[-1] - 1) / 2
    return lines @ x / (x @ x)
