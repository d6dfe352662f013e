"""The share of the gradient that goes to the padded steps of a batch of sequences."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.gradflow.probes.replay import Replay, Visitor


# The least share of steps that must be padded for a batch to count as padded.
LEAST = 0.1
SHORTEST = 4


def padded_steps(array: Any) -> np.ndarray | None:
    """Return which steps of a batch of sequences are padded, if it looks padded.

    It does if sequences of different lengths end with steps of the same token, or of
    zeros only, which do not occur at their start and hardly in between. The first such
    token is not counted, since it may be the real token that ends a sequence.

    Args:
        array: Whole numbers `(batch, time)` or floating-point numbers
            `(batch, time, features)`.

    Returns:
        Booleans `(batch, time)`; None if the array is not padded.

    Example:
        >>> padded_steps(np.array([[3, 0, 0, 0], [5, 7, 0, 0], [2, 8, 4, 0]])).sum()
        np.int64(3)
    """
    values = np.asarray(array)
    if values.dtype.kind in "iu" and values.ndim == 2:
        tokens, counts = np.unique(values[:, -1], return_counts=True)
        empty = values == tokens[np.argmax(counts)]
    elif values.dtype.kind == "f" and values.ndim == 3:
        empty = np.all(values == 0, axis=-1)
    else:
        return None
    if values.shape[1] < SHORTEST or values.shape[0] < 2:
        return None
    # Steps after which all others are empty too.
    padded = np.logical_and.accumulate(empty[:, ::-1], axis=1)[:, ::-1]
    lengths = values.shape[1] - padded.sum(1)
    between = (empty & ~padded).sum() / max(1, (~padded).sum())
    varied = len(set(lengths.tolist())) >= min(3, values.shape[0])
    looks_padded = padded.mean() >= LEAST and varied and between < 0.02
    if not looks_padded or lengths.min() == 0:
        return None
    if values.ndim == 2:
        padded[:, 1:] &= padded[:, :-1].copy()
    return padded


def padding_share(closed: Any, arguments: Sequence[Any], first: int) -> float | None:
    """Return the share of the squared gradient that belongs to padded steps.

    It is the gradient with respect to the padded input, if that is floating-point, or
    to the first tap with its axes of batch and time, such as that of an embedding.

    Args:
        closed: The jaxpr of a loss with marks, from `trace_loss`.
        arguments: Its arguments.
        first: The number of the first argument that is no part of the model.

    Returns:
        The share, or None if no argument looks padded or no gradient can be found.
    """
    for number, argument in enumerate(arguments[first:], first):
        dtype = getattr(argument, "dtype", None)
        if dtype is None or jnp.issubdtype(dtype, jax.dtypes.extended):
            continue
        padded = padded_steps(argument)
        if padded is not None:
            gradient = _gradient(closed, list(arguments), number, padded.shape)
            if gradient is None:
                continue
            squares = np.square(np.asarray(gradient, np.float64))
            by_step = squares.reshape(*padded.shape, -1).sum(-1)
            total = by_step.sum()
            return float(by_step[padded].sum() / total) if total > 0 else None
    return None


def _gradient(
    closed: Any, arguments: list[Any], number: int, shape: tuple[int, int]
) -> Any:
    """Return the gradient at the steps of one argument, or None."""
    if jnp.issubdtype(arguments[number].dtype, jnp.floating):

        def loss(values: Any) -> Any:
            changed = [*arguments[:number], values, *arguments[number + 1 :]]
            return Replay(closed, _Shift(shape, None))(changed)[0]

        return jax.jit(jax.grad(loss))(arguments[number])
    seen = _Shift(shape, None)
    jax.eval_shape(Replay(closed, seen), arguments)
    if seen.found is None:
        return None
    shift = jnp.zeros(seen.found.shape, seen.found.dtype)
    moved = lambda shift: Replay(closed, _Shift(shape, shift))(arguments)[0]
    return jax.jit(jax.grad(moved))(shift)


class _Shift(Visitor):
    """Adds an array to the first tapped one that has axes of batch and time."""

    def __init__(self, shape: tuple[int, int], shift: Any):
        self._shape = shape
        self._shift = shift
        self.found: Any = None

    def tapped(self, name: str, array: jax.Array) -> jax.Array:
        del name
        if self.found is None and array.shape[:2] == self._shape and array.ndim == 3:
            self.found = array
            return array if self._shift is None else array + self._shift
        return array
