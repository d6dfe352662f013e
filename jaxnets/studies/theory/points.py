"""What the study `theory` measures of one claim, and how it maps over seeds."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Point(NamedTuple):
    """What was measured of a claim at one place of its horizontal axis.

    Attributes:
        family: Which line it belongs to.
        x: Where on the horizontal axis it stands.
        measured: `(seeds,)`.
        predicted: A number, or `(seeds,)` where it is a property of each network.
        refined: The same without the approximation of the claim; None where it has none
            that matters.
    """

    family: str
    x: float
    measured: np.ndarray
    predicted: float | np.ndarray
    refined: float | None = None


class Measurement(NamedTuple):
    """All points of a claim, and the weights of its largest network."""

    points: list[Point]
    parameters: int


class Networks:
    """Draws and measures the networks of all seeds, one seed after the other.

    One compiled program takes all seeds; mapping instead of batching keeps the weights
    of one network at a time in memory.

    Attributes:
        seeds: Seeds of the networks.
        compile_seconds: Time that compiling took so far.
    """

    def __init__(self, seeds: Sequence[int]):
        self.seeds = tuple(seeds)
        self.compile_seconds = 0.0

    def measure(self, of_key: Callable[[jax.Array], jax.Array]) -> np.ndarray:
        """Return `of_key` of every seed's key, with a leading axis of seeds."""
        keys = jax.vmap(jax.random.key)(jnp.asarray(self.seeds))
        started = time.perf_counter()
        program = jax.jit(lambda keys: jax.lax.map(of_key, keys)).lower(keys).compile()
        self.compile_seconds += time.perf_counter() - started
        return np.asarray(program(keys), np.float64)


def slopes(lines: np.ndarray) -> np.ndarray:
    """Return the least-squares slope along the last axis of `lines`."""
    x = np.arange(lines.shape[-1]) - (lines.shape[-1] - 1) / 2
    return lines @ x / (x @ x)
