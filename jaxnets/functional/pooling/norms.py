"""Lp norms and log-sum-exps over windows, which lie between the sum and the maximum.

The options are those of `jaxnets.functional.pooling.window`.
"""

import functools
import math
import numbers
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_array
from jaxnets.functional.pooling.choice import (
    pool_logsumexps,
    pool_maxima,
    pool_sums,
)
from jaxnets.functional.pooling.dtypes import check_real, lowest
from jaxnets.functional.pooling.options import pool_windows
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.windows import Padding, PerAxis
from jaxnets.typing import ArrayLike


if TYPE_CHECKING:
    Exponent = float
else:
    # As in `jaxnets.functional.shared.windows`, so that our own message is raised.
    Exponent = Any


def lp_pool(
    x: Shaped[ArrayLike, "..."],
    window_shape: PerAxis,
    *,
    p: Exponent = 2.0,
    strides: PerAxis | None = None,
    padding: Padding = "VALID",
    padding_mode: str = "zeros",
    window_dilation: PerAxis = 1,
    ceil_mode: bool = False,
    implementation: str | None = None,
) -> Shaped[Array, "..."]:
    """Take the Lp norm of `x` in each window.

    `y = (sum over the window of abs(x)^p)^(1/p)`, not divided by a count. With `p = 1`
    it is the sum of absolute values, with `p = inf` the largest of them.

    `abs(x)^p` has to be in the range of the dtype of the sum, which is float32 for
    16-bit floats. A window of zeros, or an empty one, gives 0 with a gradient of zero.
    At a zero element of another window a derivative may not exist (the first with
    `p <= 1`, the second with `p < 2`); it is set to 0.

    Args:
        x: Shape `(*B, *spatial, C)`: batch axes, spatial axes, channels. Real
            floating-point numbers.
        window_shape: Size of the window.
        p: The exponent: any number greater than 0, also infinity. With `p < 1` the
            result is given by the same formula, but is not a norm.
        strides: Distance between windows; None for `window_shape`.
        padding: Padding of the spatial axes.
        padding_mode: Values of the padding; "zeros" adds nothing to the sum.
        window_dilation: Distance between the elements of a window.
        ceil_mode: Whether a last window may reach beyond the padding.
        implementation: As for `sum_pool`; with `p = inf` as for `max_pool`.

    Returns:
        Shape `(*B, *out, C)`, the dtype of `x`.

    Raises:
        TypeError: If `x` does not hold real floating-point numbers, or an option has a
            wrong type.
        ValueError: If `p` is not positive, an option has a wrong value, or the window
            does not fit into an axis.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import lp_pool
        >>> x = jnp.array([[3.0], [-4.0], [5.0], [12.0]])
        >>> lp_pool(x, (2,)).ravel()
        Array([ 5., 13.], dtype=float32)

    Source: Sermanet, Chintala and LeCun 2012, "Convolutional Neural Networks Applied to
    House Numbers Digit Classification", section 2.2, with weights of one. PyTorch has
    no padding and no dilation; it omits the absolute value, so that an odd `p` may give
    NaN; and with `ceil_mode` it scales a window that reaches past the end to its full
    size. Flax and Keras have no such pool.
    """
    x = as_array(x, "x")
    check_real(x)
    exponent = _checked_exponent(p)
    windows = pool_windows(
        x,
        window_shape,
        strides=strides,
        padding=padding,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
    )
    if exponent == math.inf:
        magnitudes = _powers(x, 1.0)
        largest = pool_maxima(
            magnitudes, windows, padding_mode, implementation, "lp_pool"
        )
        return jnp.where(largest == lowest(x.dtype), 0, largest)
    powers = _powers(x.astype(accumulation_dtype(x.dtype)), exponent)
    sums = pool_sums(powers, windows, padding_mode, implementation, "lp_pool")
    return _root(sums, exponent).astype(x.dtype)


def logsumexp_pool(
    x: Shaped[ArrayLike, "..."],
    window_shape: PerAxis,
    *,
    strides: PerAxis | None = None,
    padding: Padding = "VALID",
    padding_mode: str = "zeros",
    window_dilation: PerAxis = 1,
    ceil_mode: bool = False,
    implementation: str | None = None,
) -> Shaped[Array, "..."]:
    """Take the logarithm of the sum of exponentials of `x` in each window.

    `y = log(sum over the window of exp(x))`: a smooth maximum, which exceeds the
    largest element by at most the logarithm of the size of the window. No exponential
    overflows, and the sum does not underflow to zero. The gradient is a softmax.

    A window that is empty, or whose elements are all minus infinity, gives minus
    infinity; a window with an element of plus infinity gives plus infinity. Both have a
    gradient of zero.

    Args:
        x: Shape `(*B, *spatial, C)`: batch axes, spatial axes, channels. Real
            floating-point numbers. 16-bit floats are summed in float32.
        window_shape: Size of the window.
        strides: Distance between windows; None for `window_shape`.
        padding: Padding of the spatial axes.
        padding_mode: Values of the padding; "zeros" is minus infinity, which adds
            nothing to the sum.
        window_dilation: Distance between the elements of a window.
        ceil_mode: Whether a last window may reach beyond the padding.
        implementation: None or "shifts" (reduces slices of `x`, axis by axis).

    Returns:
        Shape `(*B, *out, C)`, the dtype of `x`.

    Raises:
        TypeError: If `x` does not hold real floating-point numbers, or an option has a
            wrong type.
        ValueError: If an option has a wrong value, or the window does not fit into an
            axis.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import logsumexp_pool
        >>> x = jnp.array([[1000.0], [1000.0], [-1000.0], [-1000.0]])
        >>> logsumexp_pool(x, (2,)).ravel()
        Array([1000.6932, -999.3068], dtype=float32)

    Source: Boyd and Vandenberghe 2004, "Convex Optimization", section 3.1.5.
    Flax, Keras and PyTorch have no such pool; `jax.lax.reduce_window` with `logaddexp`
    does not support reverse mode.
    """
    x = as_array(x, "x")
    check_real(x)
    windows = pool_windows(
        x,
        window_shape,
        strides=strides,
        padding=padding,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
    )
    return pool_logsumexps(x, windows, padding_mode, implementation, "logsumexp_pool")


def _checked_exponent(p: Any) -> float:
    """Return `p` as a float; raise unless it is a number greater than zero."""
    if not isinstance(p, numbers.Real) or isinstance(p, bool):
        raise TypeError(f"`p` is {p!r}; wanted a real number.")
    exponent = float(p)
    if not exponent > 0:
        raise ValueError(
            f"`p` is {p!r}; wanted a number greater than 0, or `math.inf` for the "
            "largest absolute value."
        )
    return exponent


# With checkpoints the only residual of both functions is their argument. The derivative
# computes their elementwise operations again.
@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=1)
def _powers(x: jax.Array, p: float) -> jax.Array:
    """Return `abs(x)^p`, whose derivatives are 0 where they do not exist."""
    if p % 2 == 0:
        return jax.lax.integer_pow(x, int(p))
    zero = x == 0
    magnitudes = jnp.abs(jnp.where(zero, 1, x))
    powers = (
        jax.lax.integer_pow(magnitudes, int(p)) if p.is_integer() else magnitudes**p
    )
    return jnp.where(zero, 0, powers)


@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=1)
def _root(sums: jax.Array, p: float) -> jax.Array:
    """Return `sums^(1/p)`, whose derivatives at zero are 0."""
    if p == 1:
        return sums
    zero = sums == 0
    positive = jnp.where(zero, 1, sums)
    return jnp.where(zero, 0, jnp.sqrt(positive) if p == 2 else positive ** (1 / p))
