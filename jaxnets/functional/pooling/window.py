"""Max, sum and average pooling over windows of the spatial axes.

`x` is `(*batch, *spatial, channels)`: channels last, with any number of batch axes. The
options have the same meaning in all pools over windows, including those of `norms` and
`indices`:

- `window_shape`: an int for the `x.ndim - 2` axes between batch and channels, or one
  int per spatial axis. Its length says how many axes are spatial: with `(2, 2)` the
  axes of `x (2, 8, 8, 3)` are batch, height, width and channels; with `(2, 2, 2)` all
  but the channels are spatial, and there is no batch axis.
- `strides`: None is the size of the window, so that windows lie side by side.
- `padding`: "VALID", "SAME", "SAME_LOWER", "CAUSAL" (one spatial axis), an int, or an
  int or `(low, high)` pair per axis.
- `padding_mode`: "zeros" pads with the identity of the reduction (minus infinity or the
  smallest integer for the maximum); "reflect", "replicate", "circular" and "symmetric"
  pad with elements of `x`.
- `ceil_mode`: adds a last window that reaches beyond the padding if it starts before
  the end of `x`: there are `ceil((n + low + high - k_eff) / s) + 1` windows on an axis,
  with `k_eff = d * (k - 1) + 1`, and one less if the last of them would start at
  `n + low` or later. Beyond the padding every `padding_mode` has the identity. It has
  no effect on "SAME" and "SAME_LOWER".
- `implementation`: None chooses one, as `choice` describes; a name forces it.
"""

import math
import numbers
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_array, as_switch
from jaxnets.functional.pooling.choice import pool_maxima, pool_sums
from jaxnets.functional.pooling.dtypes import (
    check_divisible,
    check_ordered,
    check_summable,
)
from jaxnets.functional.pooling.options import (
    PoolWindows,
    element_counts,
    pool_windows,
)
from jaxnets.functional.shared.dtypes import accumulation_dtype, sum_dtype
from jaxnets.functional.shared.windows import Padding, PerAxis, check_padding_mode
from jaxnets.typing import ArrayLike


if TYPE_CHECKING:
    Divisor = float | None
else:
    # As in `jaxnets.functional.shared.windows`, so that our own message is raised.
    Divisor = Any


def max_pool(
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
    """Take the maximum of `x` in each window.

    `y[b, i, c] = max over k of x[b, s * i + d * k - low, c]`, for one spatial axis.

    Among equal maxima the first in row-major order of the window receives the whole
    cotangent. A NaN counts as the largest number, and the first of several NaNs wins.
    The maximum of an empty window is minus infinity, or the smallest integer, with a
    gradient of zero.

    Args:
        x: Shape `(*B, *spatial, C)`: batch axes, spatial axes, channels. Real numbers,
            integers or booleans.
        window_shape: Size of the window: an int for the axes between a first batch axis
            and the channels, or one int per spatial axis. With `(2, 2, 2)` an `x` of
            shape (2, 8, 8, 3) has three spatial axes and no batch axis.
        strides: Distance between windows; None for `window_shape`.
        padding: Padding of the spatial axes.
        padding_mode: Values of the padding.
        window_dilation: Distance between the elements of a window.
        ceil_mode: Whether a last window may reach beyond the padding.
        implementation: "shifts" compares slices of `x`, and its derivative selects from
            them. "reduce_window" is XLA's reduction with the derivative of "shifts".
            "winners" is XLA's reduction with a derivative for GPUs, which stores which
            element of each window is the maximum. "native" is XLA's reduction and its
            transpose; it runs only on TPUs and without dilation. None chooses;
            `jaxnets.plan` says which one runs and why.

    Returns:
        Shape `(*B, *out, C)`, the dtype of `x`.

    Raises:
        TypeError: If `x` is complex, or an option has a wrong type.
        ValueError: If an option has a wrong value, or the window does not fit into an
            axis.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import max_pool
        >>> x = jnp.array([[12, 20, 30, 0], [8, 12, 2, 0],
        ...                [34, 70, 37, 4], [112, 100, 25, 12]])
        >>> max_pool(x[..., None], (2, 2))[..., 0]
        Array([[ 20,  30],
               [112,  37]], dtype=int32)

    In Flax `strides` is 1 by default, and windows have no dilation; JAX cannot
    differentiate the maximum of `jax.lax.reduce_window` with dilation. PyTorch has no
    "SAME" and no one-sided padding, and limits padding to half the window. Keras has no
    `ceil_mode`, `padding_mode` or explicit padding.
    """
    x = as_array(x, "x")
    check_ordered(x)
    windows = pool_windows(
        x,
        window_shape,
        strides=strides,
        padding=padding,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
    )
    return pool_maxima(x, windows, padding_mode, implementation, "max_pool")


def sum_pool(
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
    """Take the sum of `x` in each window.

    `y[b, i, c] = sum over k of x[b, s * i + d * k - low, c]`, for one spatial axis.

    16-bit floats are summed in float32, integers of fewer than 32 bits in 32 bits. The
    sum of an empty window is 0.

    Args:
        x: Shape `(*B, *spatial, C)`: batch axes, spatial axes, channels. Any numbers,
            but no booleans.
        window_shape: Size of the window.
        strides: Distance between windows; None for `window_shape`.
        padding: Padding of the spatial axes.
        padding_mode: Values of the padding.
        window_dilation: Distance between the elements of a window.
        ceil_mode: Whether a last window may reach beyond the padding.
        implementation: "shifts" adds slices of `x`, for small windows. "native" is
            XLA's reduction over all axes at once. "reshape" is for windows that do not
            overlap. "reduce_window" is XLA's reduction axis by axis. None chooses;
            `jaxnets.plan` says which one runs and why.

    Returns:
        Shape `(*B, *out, C)`, the dtype of `x`; int32 or uint32 if these are integers
        of fewer bits, as with `jax.numpy.sum`.

    Raises:
        TypeError: If `x` is boolean, or an option has a wrong type.
        ValueError: If an option has a wrong value, or the window does not fit into an
            axis.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import sum_pool
        >>> sum_pool(jnp.arange(6.0)[:, None], (3,), strides=1).ravel()
        Array([ 3.,  6.,  9., 12.], dtype=float32)

    Flax, Keras and PyTorch have no sum pooling.
    """
    x = as_array(x, "x")
    check_summable(x)
    windows = pool_windows(
        x,
        window_shape,
        strides=strides,
        padding=padding,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
    )
    sums = pool_sums(x, windows, padding_mode, implementation, "sum_pool")
    return sums.astype(sum_dtype(x.dtype))


def avg_pool(
    x: Shaped[ArrayLike, "..."],
    window_shape: PerAxis,
    *,
    strides: PerAxis | None = None,
    padding: Padding = "VALID",
    padding_mode: str = "zeros",
    window_dilation: PerAxis = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: Divisor = None,
    implementation: str | None = None,
) -> Shaped[Array, "..."]:
    """Take the average of `x` in each window.

    `y = sum_pool(x) / count`, where `count` is the number of elements in the window,
    with or without the padding. Elements beyond the padding, which only `ceil_mode`
    reaches, are never counted.

    16-bit floats are summed and divided in float32. The average of an empty window is
    0.

    Args:
        x: Shape `(*B, *spatial, C)`: batch axes, spatial axes, channels. Real or
            complex floating-point numbers.
        window_shape: Size of the window.
        strides: Distance between windows; None for `window_shape`.
        padding: Padding of the spatial axes.
        padding_mode: Values of the padding.
        window_dilation: Distance between the elements of a window.
        ceil_mode: Whether a last window may reach beyond the padding.
        count_include_pad: Whether padding is part of the average. With False only
            elements of `x` are averaged, and `padding_mode` has no effect.
        divisor: The number that divides the sum in place of the count; not zero.
        implementation: As for `sum_pool`.

    Returns:
        Shape `(*B, *out, C)`, the dtype of `x`.

    Raises:
        TypeError: If `x` holds integers or booleans, or an option has a wrong type.
        ValueError: If an option has a wrong value, or the window does not fit into an
            axis.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import avg_pool
        >>> x = jnp.array([[1.0], [2.0], [3.0]])
        >>> avg_pool(x, (2,), padding=1).ravel()
        Array([0.5, 2.5], dtype=float32)
        >>> avg_pool(x, (2,), padding=1, count_include_pad=False).ravel()
        Array([1. , 2.5], dtype=float32)

    In Flax `strides` is 1 by default. Flax and Keras sum bfloat16 in 16 bits, where a
    sum stops growing once it is 256 times the next element, so that averages over large
    windows are wrong. PyTorch has no dilation, no "SAME", no one-sided padding and no
    padding modes.
    """
    x = as_array(x, "x")
    check_divisible(x)
    windows = pool_windows(
        x,
        window_shape,
        strides=strides,
        padding=padding,
        window_dilation=window_dilation,
        ceil_mode=ceil_mode,
    )
    _check_divisor(divisor)
    count_include_pad = as_switch(count_include_pad, "count_include_pad")
    check_padding_mode(padding_mode)
    if not count_include_pad:
        padding_mode = "zeros"
    divisors = _divisors(x, windows, count_include_pad, divisor)
    return pool_sums(
        x, windows, padding_mode, implementation, "avg_pool", divisors=divisors
    )


def _divisors(
    x: Array, windows: PoolWindows, count_include_pad: bool, divisor: Divisor
) -> ArrayLike | float:
    """Return what the sums are divided by: a float if it is the same for all windows.

    Otherwise it is an array with the axes of `x`.
    """
    if divisor is not None:
        return float(divisor)
    # The sum of an empty window is 0, whatever it is divided by.
    counts = [n.clip(min=1) for n in element_counts(windows, count_include_pad)]
    if all(isinstance(n, np.ndarray) and len(set(n.tolist())) == 1 for n in counts):
        return float(math.prod(n.item(0) for n in counts))
    dtype = accumulation_dtype(x.dtype)
    divisors = jnp.ones((1,) * x.ndim, dtype)
    for axis, n in enumerate(counts, x.ndim - 1 - windows.ndim):
        shape = [1] * x.ndim
        shape[axis] = n.shape[0]
        divisors = divisors * jnp.asarray(n, dtype).reshape(shape)
    return divisors


def _check_divisor(divisor: Any) -> None:
    """Raise unless `divisor` is None or a number that is not zero."""
    if divisor is None:
        return
    if not isinstance(divisor, numbers.Real) or isinstance(divisor, bool):
        raise TypeError(f"`divisor` is {divisor!r}; wanted None or a real number.")
    if divisor == 0 or math.isnan(divisor):
        raise ValueError(
            f"`divisor` is {divisor!r}; wanted None for the number of elements, or a "
            "number that is not zero."
        )
