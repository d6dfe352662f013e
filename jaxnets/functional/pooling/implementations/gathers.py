"""Windows of any places and sizes along one axis, side by side in a new axis.

Reading them is a gather, and adding up what the windows pass back is a gather too, from
each element's places in the windows. As each is stated to be the transpose of the
other, no derivative of any order scatters.
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
        starts: One per window.
        ends: The same.
    """

    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def sizes(self) -> np.ndarray:
        """The number of elements of each window."""
        return np.subtract(self.ends, self.starts)

    def elements(self) -> np.ndarray:
        """Return which elements the windows see, one row each; -1 stands for none."""
        places = np.arange(self.sizes.max()) + np.asarray(self.starts)[:, None]
        return np.where(places < np.asarray(self.ends)[:, None], places, -1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def interval_view(
    x: Shaped[Array, "..."], axis: int, intervals: Intervals, fill: Any = 0
) -> Shaped[Array, "..."]:
    """Turn an axis into two: the windows along it, and the elements of each.

    Args:
        x: Any array.
        axis: Which of its axes, counted from the front.
        intervals: The windows.
        fill: What follows the elements of a window that is not the largest.

    Returns:
        Shape (..., windows, size of the largest, ...).

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
    back = functools.partial(_add_up, **options, size=x.shape[axis])
    return view(x, fill=fill), linear_map(view, back, tangent)


def _add_up(view: jax.Array, axis: int, intervals: Intervals, size: int) -> jax.Array:
    """Return for each of `size` elements the sum over its places in the windows."""
    elements = intervals.elements().ravel()
    flat = view.reshape((*view.shape[:axis], elements.size, *view.shape[axis + 2 :]))
    places = [np.flatnonzero(elements == element) for element in range(size)]
    total = jnp.zeros((*view.shape[:axis], size, *view.shape[axis + 2 :]), view.dtype)
    for turn in range(max(map(len, places), default=0)):
        turns = [found[turn] if turn < len(found) else -1 for found in places]
        total = total + _take(flat, axis, np.asarray(turns), 0)
    return total


def _take(x: jax.Array, axis: int, places: np.ndarray, fill: Any) -> jax.Array:
    """Take places along an axis, and `fill` for each of them that is -1."""
    # XLA on CPUs takes several times as long to fill by itself.
    taken = jnp.take(x, np.maximum(places, 0), axis=axis, mode="clip")
    ones = [1] * x.ndim
    absent = (places < 0).reshape((*ones[:axis], places.size, *ones[axis + 1 :]))
    return jnp.where(absent, jnp.asarray(fill, x.dtype), taken)
