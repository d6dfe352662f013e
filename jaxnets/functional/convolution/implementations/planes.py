"""Convolutions made of other ones that XLA's CPU library is better at.

Each function here rewrites the sum over the window and leaves all derivatives to JAX,
which then falls on the operations of `conv_rules`.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxnets.functional.convolution.implementations.lax import ConvOptions
from jaxnets.functional.convolution.implementations.library import (
    conv_sum_ordinary_gradients,
)
from jaxnets.functional.shared.windows import output_sizes


@functools.partial(jax.checkpoint, static_argnums=2)
def conv_sum_by_planes(
    x: Num[Array, "batch depth *plane channels"],
    kernel: Num[Array, "window_depth *window channels features"],
    options: ConvOptions,
) -> Num[Array, "batch *places features"]:
    """Sum over the first axis of the window as if its taps were channels.

    A convolution over planes then remains, of `batch * depth` examples. The checkpoint
    keeps `x` for the kernel's gradient, not the taps, which are `x` several times; to
    put these together again took no longer than to fetch them.
    """
    (low, high), *pairs = options.pairs
    stride, *strides = options.strides
    gap, *input_dilation = options.input_dilation
    step, *kernel_dilation = options.kernel_dilation
    window = kernel.shape[0]
    config = [(0, 0, 0)] * x.ndim
    config[1] = (low, high, gap - 1)
    # Every element takes part in several planes, whose cotangents are added.
    wide, result = options.dtypes(x.dtype)
    x = jax.lax.pad(x.astype(wide), jnp.zeros((), wide), config)
    (out,) = output_sizes([x.shape[1]], ((0, 0),), [window], [stride], [step])
    last = (out - 1) * stride + 1
    starts = range(0, window * step, step)
    taps = [jax.lax.slice_in_dim(x, i, i + last, stride, axis=1) for i in starts]
    planes = jnp.concatenate(taps, axis=-1)
    inner = options._replace(
        strides=tuple(strides),
        pairs=tuple(pairs),
        input_dilation=tuple(input_dilation),
        kernel_dilation=tuple(kernel_dilation),
        result_dtype=None,
    )
    kernel = jnp.moveaxis(kernel.astype(wide), 0, -3)
    *inner_window, _, channels, features = kernel.shape
    y = conv_sum_ordinary_gradients(
        planes.reshape((x.shape[0] * out, *planes.shape[2:])),
        kernel.reshape((*inner_window, window * channels, features)),
        inner,
    )
    return y.reshape((x.shape[0], out, *y.shape[1:])).astype(result)
