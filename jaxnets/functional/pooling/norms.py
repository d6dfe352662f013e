"""Pooling between the sum and the maximum: Lp norms and log-sum-exp over windows.

Their options are those of `jaxnets.functional.pooling.window`.
"""

import functools
import math
import numbers
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from jaxnets.functional.pooling.choice import (
    pool_logsumexps,
    pool_maxima,
    pool_sums,
)
from jaxnets.functional.pooling.dtypes import check_real
from jaxnets.functional.pooling.options import pool_windows
from jaxnets.functional.shared.arguments import as_array
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.windows import Padding, PerAxis
from jaxnets.typing import ArrayLike


if TYPE_CHECKING:
    Exponent = float
else:
    # So that our own message speaks, as in `jaxnets.functional.shared.windows`.
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

    `y = (sum over the window of abs(x)^p)^(1/p)`, never divided by a count. `p = 1` is
    the sum of absolute values, `p = inf` the largest of them.

    `abs(x)^p` has to fit into the dtype of the sum, which is float32 for 16-bit
    numbers. A window that holds zeros alone, or no element, gives 0 and passes nothing
    back. Where a derivative at a zero beside other elements does not exist (the first
    with `p <= 1`, the second with `p < 2`), it is taken as 0.

    Args:
        x: Shape (*B, *spatial, C): batch axes, spatial axes, channels. Real
            floating-point numbers.
        window_shape: Size of the window.
        p: The exponent: any number greater than 0, also infinity. Below 1 the result
            is no norm, but still this formula.
        strides: Distance between windows; None for `window_shape`.
        padding: What is added around the spatial axes.
        padding_mode: What it is filled with; "zeros" adds nothing to the sum.
        window_dilation: Distance between the elements of a window.
        ceil_mode: Whether a last window may reach past the padding.
        implementation: As for `sum_pool`; with `p = inf` as for `max_pool`.

    Returns:
        Shape (*B, *out, C), the dtype of `x`.

    Raises:
        TypeError: If `x` holds no real floating-point numbers, or an option has a wrong
            type.
        ValueError: If `p` is not positive, an option has a wrong value, or an axis has
            no place for a window.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[3.0], [-4.0], [5.0], [12.0]])
        >>> lp_pool(x, (2,)).ravel()
        Array([ 5., 13.], dtype=float32)

    Source: Sermanet, Chintala and LeCun 2012, "Convolutional Neural Networks Applied to
    House Numbers Digit Classification", section 2.2, with weights of one.
    It differs from PyTorch in padding and dilation; in the absolute value, for want of
    which an odd `p` gives NaN there; and with `ceil_mode`, where PyTorch scales a
    window that reaches past the end up to its full size. Flax and Keras have none.
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
        return jnp.where(largest == -jnp.inf, 0, largest)
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

    `y = log(sum over the window of exp(x))`: a smooth maximum, at most the logarithm of
    the size of the window above it. No exponential overflows, and no window where they
    all are tiny gives minus infinity. The cotangent is shared out by a softmax.

    A window without any element, or of elements that are minus infinity, gives minus
    infinity; one that holds plus infinity gives that. Both pass nothing back.

    Args:
        x: Shape (*B, *spatial, C): batch axes, spatial axes, channels. Real
            floating-point numbers. 16-bit numbers are summed in float32.
        window_shape: Size of the window.
        strides: Distance between windows; None for `window_shape`.
        padding: What is added around the spatial axes.
        padding_mode: What it is filled with; "zeros" is minus infinity, which adds
            nothing to the sum.
        window_dilation: Distance between the elements of a window.
        ceil_mode: Whether a last window may reach past the padding.
        implementation: None or "taps" (sums slices of `x`, axis by axis).

    Returns:
        Shape (*B, *out, C), the dtype of `x`.

    Raises:
        TypeError: If `x` holds no real floating-point numbers, or an option has a wrong
            type.
        ValueError: If an option has a wrong value, or an axis has no place for a
            window.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1000.0], [1000.0], [-1000.0], [-1000.0]])
        >>> logsumexp_pool(x, (2,)).ravel()
        Array([1000.6932, -999.3068], dtype=float32)

    Source: Boyd and Vandenberghe 2004, "Convex Optimization", section 3.1.5.
    Flax, Keras and PyTorch have none; `jax.lax.reduce_window` with `logaddexp` has no
    reverse mode.
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
    """Return `p`, a number greater than zero; raise if it is none."""
    if not isinstance(p, numbers.Real) or isinstance(p, bool):
        raise TypeError(f"`p` is {p!r}; wanted a real number.")
    exponent = float(p)
    if not exponent > 0:
        raise ValueError(
            f"`p` is {p!r}; wanted a number greater than 0, or `math.inf` for the "
            "largest absolute value."
        )
    return exponent


# Both recompute for the derivative what is cheap, and keep no more than their argument.
@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=1)
def _powers(x: jax.Array, p: float) -> jax.Array:
    """Return `abs(x)^p`, with zero derivatives where they do not exist."""
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
    """Return `sums^(1/p)`, with zero derivatives at zero."""
    if p == 1:
        return sums
    zero = sums == 0
    positive = jnp.where(zero, 1, sums)
    return jnp.where(zero, 0, jnp.sqrt(positive) if p == 2 else positive ** (1 / p))
