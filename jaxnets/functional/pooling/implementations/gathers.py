"""Windows of any position and size along one axis, laid out along a new axis.

Reading the windows is a gather. Its transpose, which adds up the cotangents of an
element over all windows that read it, is written as a gather too. Each is given as the
transpose of the other, so that no derivative of any order scatters.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxnets.functional.shared.linear_maps import linear_map


class Intervals(NamedTuple):
    """Windows `[starts[i], ends[i])` along an axis.

    Attributes:
        starts: Index of the first element of each window.
        ends: One more than the index of the last element.
    """

    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def sizes(self) -> np.ndarray:
        """The number of elements of each window."""
        return np.subtract(self.ends, self.starts)

    def elements(self) -> np.ndarray:
        """Return the indices of the elements of each window, filled up with -1."""
        indices = np.arange(self.sizes.max()) + np.asarray(self.starts)[:, None]
        return np.where(indices < np.asarray(self.ends)[:, None], indices, -1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def interval_view(
    x: Shaped[Array, "..."], axis: int, intervals: Intervals, fill: Any = 0
) -> Shaped[Array, "..."]:
    """Replace an axis by two: one for the windows along it, one for their elements.

    Args:
        x: Any array.
        axis: The axis that is replaced, counted from the front.
        intervals: The windows.
        fill: The value that windows smaller than the largest are filled up with.

    Returns:
        Shape (..., number of windows, size of the largest, ...).

    Example:
        >>> interval_view(jnp.arange(1.0, 6.0), 0, Intervals((0, 1, 3), (2, 4, 5)))
        Array([[1., 2., 0.],
               [2., 3., 4.],
               [4., 5., 0.]], dtype=float32)
    """
    elements = intervals.elements()
    view = _take(x, axis, elements.ravel(), fill)
    return view.reshape((*x.shape[:axis], *elements.shape, *x.shape[axis + 1 :]))


@interval_view.defjvp
def _interval_view_jvp(axis, intervals, fill, primals, tangents):
    (x,), (tangent,) = primals, tangents
    options = {"axis": axis, "intervals": intervals}
    view = functools.partial(interval_view, **options)
    transpose = functools.partial(_add_up, **options, size=x.shape[axis])
    return view(x, fill=fill), linear_map(view, transpose, tangent)


def _add_up(view: jax.Array, axis: int, intervals: Intervals, size: int) -> jax.Array:
    """Return, for each of `size` elements, its sum over all windows that contain it."""
    elements = intervals.elements().ravel()
    flat = view.reshape((*view.shape[:axis], elements.size, *view.shape[axis + 2 :]))
    indices = [np.flatnonzero(elements == element) for element in range(size)]
    total = jnp.zeros((*view.shape[:axis], size, *view.shape[axis + 2 :]), view.dtype)
    for turn in range(max(map(len, indices), default=0)):
        # The next window that contains each element, or -1 if there is none.
        current = [found[turn] if turn < len(found) else -1 for found in indices]
        total = total + _take(flat, axis, np.asarray(current), 0)
    return total


def _take(x: jax.Array, axis: int, indices: np.ndarray, fill: Any) -> jax.Array:
    """Return the elements of an axis at `indices`, and `fill` for an index of -1."""
    taken = jnp.take(x, np.maximum(indices, 0), axis=axis, mode="clip")
    ones = [1] * x.ndim
    absent = (indices < 0).reshape((*ones[:axis], indices.size, *ones[axis + 1 :]))
    return jnp.where(absent, jnp.asarray(fill, x.dtype), taken)
