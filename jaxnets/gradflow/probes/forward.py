"""Dead and saturated units, and the number of directions, without any feeding by hand.

A tap at the output of a module sees no activation that is a plain function. Here every
activation of the traced loss is seen, whatever called it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.gradflow.probes.replay import Replay, Visitor
from jaxnets.gradflow.program.dataflow.taps import MODEL
from jaxnets.gradflow.units import attention_stats
from jaxnets.tap import SATURATED


# Activations that are exactly zero on one side.
RECTIFIERS = ("relu", "relu6")
# The name of an activation that is known by its derivative only.
NAMELESS = "activation"
# The derivative of tanh at an output of 0.97, relative to its largest value.
FLAT = 1 - SATURATED**2
# At most this many rows of an array are looked at.
ROWS = 256

Numbers = dict[tuple[str, str], Float[Array, ""]]


def forward_numbers(closed: Any, arguments: Sequence[Any]) -> Numbers:
    """Return numbers of the arrays in a forward pass, by metric and place.

    - `dead_share` and `off_share` after every ReLU: the share of units (last axis)
      that are zero at every input, and of all values.
    - `flat_share` after every tanh, sigmoid and softmax: the share of values near
      an end. A softmax counts as saturated where one entry has nearly all the weight.
      For an activation without a known name it is the share of values at which its
      derivative is near zero, if it saturates on both sides.
    - `attention_entropy` and `attention_logit_size` of every attention.
    - `effective_rank`, `distinct_share` and `unit_distinct_share` at every tap outside
      of loops. The last is the share of the squares by which the units differ: 0 if all
      compute the same number, up to a constant.

    The place after an activation is that of the tap before it with the name of the
    activation, such as `body/3/relu`.

    Args:
        closed: The jaxpr of a loss with marks, from `trace_loss`.
        arguments: Its arguments.
    """
    numbers: Numbers = {}
    replay = Replay(closed, _Statistics(numbers))
    replay(arguments)
    return numbers


class _Statistics(Visitor):
    def __init__(self, numbers: Numbers):
        self._numbers = numbers

    def _add(self, metric: str, place: str, value: Any) -> None:
        count = 1
        while (metric, name := place if count == 1 else f"{place}#{count}") in (
            self._numbers
        ):
            count += 1
        self._numbers[metric, name] = value

    def tapped(self, name: str, array: jax.Array) -> jax.Array:
        if array.ndim >= 2 and array.shape[-1] > 1 and _rows(array).shape[0] > 1:
            self._add("effective_rank", name, effective_rank(array))
            self._add("distinct_share", name, distinct_share(array))
            centred = _rows(array) - jnp.mean(_rows(array), axis=0, keepdims=True)
            self._add("unit_distinct_share", name, distinct_share(centred.T))
        return array

    def activated(self, name: str, kind: str, array: jax.Array) -> None:
        place = f"{name}/{kind}" if name else kind
        if array.ndim < 2:
            return
        if kind in RECTIFIERS:
            axes = tuple(range(array.ndim - 1))
            dead = jnp.all(array == 0, axis=axes)
            self._add("dead_share", place, jnp.mean(dead, dtype=jnp.float32))
            zero = jnp.mean(array == 0, dtype=jnp.float32)
            self._add("off_share", place, zero)
        elif kind in ("tanh", "sigmoid", "softmax"):
            self._add("flat_share", place, _saturated(array, kind))

    def attended(self, name: str, weights: jax.Array) -> None:
        stats = attention_stats(weights)
        place = f"{name}/softmax"
        self._add("attention_entropy", place, stats.entropy)
        self._add("attention_logit_size", place, stats.logit_size)

    def shaped(
        self, name: str, array: jax.Array, function: Callable[[Any], Any]
    ) -> None:
        # What follows the model is a part of the loss.
        is_inside = name != MODEL and array.ndim >= 2
        if is_inside and jnp.issubdtype(array.dtype, jnp.floating):
            self._add("flat_share", f"{name}/{NAMELESS}", flat_share(function, array))


def flat_share(
    function: Callable[[Any], Any], x: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """Return the share of values at which a saturating activation is flat.

    A function f saturates if its derivative far from zero, on both sides, is below 6 %
    of the largest between -4 and 4. It is flat at x if `|f'(x)|` is below 6 % too, as
    the derivative of tanh is at an output of 0.97.

    Args:
        function: `f(x)`, elementwise, for arrays of the shape of `x`.
        x: What f gets.

    Returns:
        A share; NaN if the function does not saturate.

    Example:
        >>> import jax.numpy as jnp
        >>> softsign = lambda x: x / (1 + jnp.abs(x))
        >>> flat_share(softsign, jnp.array([0.0, 1.0, -9.0, 9.0]))
        Array(0.5, dtype=float32)
        >>> flat_share(jnp.square, jnp.array([0.0, 1.0]))
        Array(nan, dtype=float32)
    """

    def slope(at: jax.Array) -> jax.Array:
        # A derivative by hand may have no forward mode.
        y, pullback = jax.vjp(function, at)
        return jnp.abs(pullback(jnp.ones_like(y))[0])

    grid = jnp.linspace(-4.0, 4.0, max(x.size, 2), dtype=x.dtype)[: x.size]
    grid = grid.reshape(x.shape) + jnp.asarray(1e-3, x.dtype)
    limit = FLAT * jnp.max(slope(grid))
    far = [slope(jnp.full_like(x, at)) for at in (-3e3, -1e3, 1e3, 3e3)]
    saturates = jnp.max(jnp.stack(far)) < limit
    share = jnp.mean(slope(x) < limit, dtype=jnp.float32)
    return jnp.where(saturates, share, jnp.nan)


def _saturated(array: jax.Array, kind: str) -> jax.Array:
    if kind == "softmax":
        flat = jnp.max(array, axis=-1) > SATURATED
        return jnp.mean(flat, dtype=jnp.float32) * float(array.shape[-1] > 1)
    flat = jnp.abs(array) > SATURATED
    if kind == "sigmoid":
        flat = flat | (array < 1 - SATURATED)
    return jnp.mean(flat, dtype=jnp.float32)


def effective_rank(x: Float[Array, "*rows units"]) -> Float[Array, ""]:
    """Return the number of directions in which the rows of `x` vary.

    With C the covariance of the rows it is `tr(C)^2 / tr(C^2)`: the number of units if
    all directions have the same variance, and 1 if the rows lie on a line.

    Args:
        x: Any number of leading axes; at most 256 rows are used.

    Returns:
        A number of at least 1; NaN if all rows are equal.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(effective_rank(jnp.eye(4) * 3.0)), 4)
        3.0

    Source: Roy and Vetterli 2007, "The effective rank", for the idea; this form, the
    participation ratio, needs no decomposition (Gao et al. 2017).
    """
    rows = _rows(x)
    centred = rows - jnp.mean(rows, axis=0, keepdims=True)
    centred = centred / jnp.max(jnp.abs(centred))
    short = centred if rows.shape[0] <= rows.shape[1] else centred.T
    gram = short @ short.T
    return jnp.trace(gram) ** 2 / jnp.sum(gram**2)


def distinct_share(x: Float[Array, "*rows units"]) -> Float[Array, ""]:
    """Return the share of the squares of `x` by which its rows differ.

    It is `1 - ||mean||^2 / mean(||row||^2)`: 1 for rows of zero mean, and 0 if all rows
    are equal, so that the network has lost what it was given.

    Example:
        >>> import jax.numpy as jnp
        >>> distinct_share(jnp.array([[1.0, 1.0], [1.0, -1.0]]))
        Array(0.5, dtype=float32)
    """
    rows = _rows(x)
    largest = jnp.max(jnp.abs(rows))
    rows = rows / jnp.where(largest == 0, 1, largest)
    centred = rows - jnp.mean(rows, axis=0, keepdims=True)
    return jnp.sum(centred**2) / jnp.sum(rows**2)


def _rows(x: jax.Array) -> jax.Array:
    rows = x.reshape(-1, x.shape[-1]).astype(jnp.float32)
    return rows[:: max(1, rows.shape[0] // ROWS)][:ROWS]
