"""Batch normalisation, with its derivative in closed form."""

import functools
import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import max_dim
from jaxtyping import Array, Float, Shaped

from jaxnets.arguments import as_array, as_optional_array, check_number
from jaxnets.functional.shared.barriers import computed_once
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.typing import ArrayLike


if TYPE_CHECKING:
    Epsilon = float
else:
    # As in `jaxnets.functional.shared.windows`, so that our own message is raised.
    Epsilon = Any


def batch_norm(
    x: Shaped[ArrayLike, "..."],
    scale: Shaped[ArrayLike, "..."] | None = None,
    bias: Shaped[ArrayLike, "..."] | None = None,
    mean: Shaped[ArrayLike, "..."] | None = None,
    var: Shaped[ArrayLike, "..."] | None = None,
    *,
    epsilon: Epsilon = 1e-5,
    axis_name: str | None = None,
) -> tuple[Float[Array, "..."], Float[Array, " channels"], Float[Array, " channels"]]:
    """Normalise each channel of `x` to mean `bias` and standard deviation `scale`.

        y[n, c] = scale[c] * (x[n, c] - mean[c]) / sqrt(var[c] + epsilon) + bias[c]

    where n runs over all axes except the last. If `mean` and `var` are None, as in
    training, they are computed from the batch, and the gradient passes through them:

        mean[c] = 1/N sum over n of x[n, c]
        var[c]  = 1/N sum over n of (x[n, c] - mean[c])^2

    Otherwise they are used as given, such as running averages in evaluation.

    Args:
        x: `(*batch_and_spatial, channels)`, floating-point; any number of axes.
        scale: `(channels,)`; None is 1.
        bias: `(channels,)`; None is 0.
        mean: `(channels,)`, passed together with `var`.
        var: `(channels,)`, 0 or more. NumPy arrays are checked. JAX arrays may be on a
            device or have no values yet: a channel with `var + epsilon < 0` is NaN.
        epsilon: Added to the variance: a finite number, 0 or more.
        axis_name: Name of a mapped axis (of `jax.vmap` or `jax.shard_map`). The
            statistics of the batch are taken over this axis too. It has no effect if
            `mean` and `var` are passed.

    Returns:
        `(y, mean, var)`: `y` has the shape of `x` and the promoted dtype of `x`,
        `scale` and `bias`. `mean` and `var` are the statistics that were used, in
        float32 if that dtype has 16 bits. The statistics of an empty batch are zero.

    Raises:
        TypeError: If an argument is not a floating-point array, or `axis_name` no name.
        ValueError: If a shape is wrong, `epsilon` or a known `var` is negative, only
            one of `mean` and `var` is passed, or no mapped axis has the `axis_name`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import batch_norm
        >>> y, mean, var = batch_norm(jnp.array([[1.0], [3.0]]), epsilon=0.0)
        >>> y.ravel(), mean, var
        (Array([-1.,  1.], dtype=float32), Array([2.], dtype=float32),
         Array([1.], dtype=float32))

    Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithms 1 and 2. In Flax
    and Keras the variance is `mean(x^2) - mean(x)^2` by default, which rounding errors
    dominate if the mean is large. In PyTorch the running variance has the divisor
    N - 1. The derivative is written in closed form: its transpose reads the data once
    for two sums, and once for the gradient of `x`.
    """
    x = as_array(x, "x")
    scale, bias = as_optional_array(scale, "scale"), as_optional_array(bias, "bias")
    known_var = None if isinstance(var, jax.Array) else var
    mean, var = as_optional_array(mean, "mean"), as_optional_array(var, "var")
    _check_arguments(x, {"scale": scale, "bias": bias, "mean": mean, "var": var})
    check_epsilon(epsilon)
    epsilon = float(epsilon)
    _check_var(known_var)
    dtype = jnp.result_type(*(a for a in (x, scale, bias) if a is not None))
    wide = accumulation_dtype(dtype)
    x = jnp.asarray(x, wide)
    channels = x.shape[-1:]
    scale = jnp.ones(channels, wide) if scale is None else jnp.asarray(scale, wide)
    bias = jnp.zeros(channels, wide) if bias is None else jnp.asarray(bias, wide)
    if mean is None or var is None:
        _check_axis_name(axis_name)
        y, mean, var = _normalised(x, scale, bias, epsilon, axis_name)
    else:
        mean, var = jnp.asarray(mean, wide), jnp.asarray(var, wide)
        gain = scale * jax.lax.rsqrt(var + epsilon)
        centred = x - _by_channel(mean, x)
        y = centred * _by_channel(gain, x) + _by_channel(bias, x)
    return y.astype(dtype), jnp.asarray(mean), jnp.asarray(var)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def _normalised(x, scale, bias, epsilon, axis_name):
    """Normalise by the statistics of the batch; return `(y, mean, var)`."""
    return _with_intermediates(x, scale, bias, epsilon, axis_name)[0]


@_normalised.defjvp
def _normalised_jvp(epsilon, axis_name, primals, tangents):
    x, scale, bias = primals
    dx, dscale, dbias = tangents
    # The transpose of this barrier makes XLA compute the cotangent once for both
    # gradients of the preceding convolution. Otherwise XLA would compute it again
    # inside the transposition for the kernel's gradient, which reads it in another
    # order than that of memory.
    dx = computed_once(dx)
    results, centred, rstd = _with_intermediates(x, scale, bias, epsilon, axis_name)
    gain = scale * rstd
    dmean = _mean(dx, axis_name)
    covariance = _mean(dx * centred, axis_name)
    # The terms are collected by powers of the data, so the transpose needs only two
    # sums for all five of them: of the cotangent, and of its product with `centred`.
    slope = rstd * dscale - gain * rstd**2 * covariance
    shift = dbias - gain * dmean
    dy = _by_channel(gain, x) * dx + centred * _by_channel(slope, x)
    return results, (dy + _by_channel(shift, x), dmean, 2 * covariance)


def _with_intermediates(x, scale, bias, epsilon, axis_name):
    """Return `(y, mean, var)`, the centred data and 1 / standard deviation."""
    mean = _mean(x, axis_name)
    # The variance, `y` and the backward pass read this; none of them reads `x` again.
    centred = computed_once(x - _by_channel(mean, x))
    var = _mean(centred * centred, axis_name)
    rstd = jax.lax.rsqrt(var + epsilon)
    y = centred * _by_channel(scale * rstd, x) + _by_channel(bias, x)
    return (y, mean, var), centred, rstd


def _mean(x: jax.Array, axis_name: str | None) -> jax.Array:
    """Return the mean of each channel, and zero for an empty batch."""
    count = max_dim(math.prod(x.shape[:-1]), 1)
    mean = jnp.sum(x, axis=tuple(range(x.ndim - 1))) / count
    return mean if axis_name is None else jax.lax.pmean(mean, axis_name)


def _by_channel(vector: jax.Array, x: jax.Array) -> jax.Array:
    """Reshape `vector (channels,)` to the rank of `x`."""
    return vector.reshape((1,) * (x.ndim - 1) + vector.shape)


def check_epsilon(epsilon: Any) -> None:
    """Raise unless `epsilon` is a finite real number, 0 or more."""
    wanted = "0 or more, such as 1e-5, so that the variance stays positive"
    check_number("epsilon", epsilon, f"a real number, {wanted}")
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"`epsilon` is {epsilon}; wanted {wanted}.")


def _check_axis_name(axis_name: Any) -> None:
    """Raise unless `axis_name` is None, or names mapped axes of the caller."""
    if axis_name is None:
        return
    wanted = "the name of an axis of `jax.vmap` or `jax.shard_map`"
    for name in axis_name if isinstance(axis_name, tuple) else (axis_name,):
        if not isinstance(name, str):
            raise TypeError(f"`axis_name` is {axis_name!r}; wanted {wanted}, or None.")
        try:
            jax.lax.axis_size(name)
        except NameError as error:
            raise ValueError(
                f"`axis_name` is {axis_name!r}, but no mapped axis has the name "
                f"{name!r} here; wanted {wanted} around this call. Pass None outside "
                "of a map."
            ) from error


def _check_var(var: Any) -> None:
    """Raise a ValueError if a variance that is known on the host is negative."""
    if var is not None and (np.asarray(var) < 0).any():
        raise ValueError(
            f"`var` holds {np.min(np.asarray(var))}; wanted variances of 0 or more. "
            "Pass the variance itself, not its logarithm."
        )


def _check_arguments(x: ArrayLike, vectors: dict[str, ArrayLike | None]) -> None:
    shape = jnp.shape(x)
    if not shape:
        raise ValueError(
            "`x` has shape (); wanted (*batch_and_spatial, channels), at least the "
            "axis of channels."
        )
    given = {name: array for name, array in vectors.items() if array is not None}
    for name, array in {"x": x, **given}.items():
        dtype = jnp.result_type(array)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"`{name}` has dtype {dtype}; wanted floating-point numbers. Cast it, "
                "for example with `.astype(jnp.float32)`."
            )
    for name, array in given.items():
        if jnp.shape(array) != shape[-1:]:
            raise ValueError(
                f"`{name}` has shape {jnp.shape(array)}; wanted {shape[-1:]}, one "
                f"number for each channel of `x`, which has shape {shape}."
            )
    if ("mean" in given) != ("var" in given):
        missing = "var" if "mean" in given else "mean"
        raise ValueError(
            f"`{missing}` is missing; wanted both `mean` and `var`, or neither to use "
            "the statistics of the batch."
        )
