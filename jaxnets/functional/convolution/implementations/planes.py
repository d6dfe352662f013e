"""Convolution over three spatial axes as one over two.

XLA's library for CPUs supports at most two spatial axes.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxnets.functional.convolution.implementations.lax import ConvOptions
from jaxnets.functional.convolution.implementations.library import (
    conv_by_library,
    shape_of,
)
from jaxnets.functional.shared.linear_maps import bilinear_rule
from jaxnets.functional.shared.sharding import match_varying_axes
from jaxnets.functional.shared.windows import output_sizes


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def conv_by_planes(
    x: Num[Array, "batch depth *plane channels"],
    kernel: Num[Array, "window_depth *window channels features"],
    options: ConvOptions,
) -> Num[Array, "batch *out features"]:
    """Convolve by moving the first axis of the window into the channels.

    A convolution over two axes remains, of `batch * depth` examples. The channels of an
    example are those of all the planes that the window reads. The residual is `x`, and
    not these planes, which hold `x` several times.
    """
    return _convolved(x, kernel, options)


def _conv_by_planes_jvp(options, primals, tangents):
    x, kernel = map(shape_of, primals)
    of_x = lambda x, kernel: _convolved(x, kernel, options)
    of_kernel = lambda kernel, x: _convolved(x, kernel, options)
    return bilinear_rule(
        functools.partial(conv_by_planes, options=options),
        functools.partial(_transposed, of_x, like=x),
        functools.partial(_transposed, of_kernel, like=kernel),
        primals,
        tangents,
    )


conv_by_planes.defjvp(_conv_by_planes_jvp, symbolic_zeros=True)


def _transposed(function, cotangent, other, *, like):
    """Return the transpose of `function` in its first argument, whose shape is `like`.

    Under `jit` the value at zero is removed, because it is not used.
    """
    zeros = jnp.zeros(like.shape, like.dtype)
    zeros, other, cotangent = match_varying_axes(zeros, other, cotangent)
    back = jax.vjp(lambda x: function(x, other), zeros)[1]
    return back(cotangent)[0]


def _convolved(x: jax.Array, kernel: jax.Array, options: ConvOptions) -> jax.Array:
    (low, high), *pairs = options.pairs
    stride, *strides = options.strides
    gap, *input_dilation = options.input_dilation
    step, *kernel_dilation = options.kernel_dilation
    window = kernel.shape[0]
    config = [(0, 0, 0)] * x.ndim
    config[1] = (low, high, gap - 1)
    # An element is in several planes. Their cotangents are added in a wide dtype.
    wide, result = options.dtypes(x.dtype)
    x = jax.lax.pad(x.astype(wide), jnp.zeros((), wide), config)
    (out,) = output_sizes([x.shape[1]], ((0, 0),), [window], [stride], [step])
    span = (out - 1) * stride + 1
    starts = range(0, window * step, step)
    shifted = [jax.lax.slice_in_dim(x, i, i + span, stride, axis=1) for i in starts]
    planes = jnp.concatenate(shifted, axis=-1)
    plane_options = options._replace(
        strides=tuple(strides),
        pairs=tuple(pairs),
        input_dilation=tuple(input_dilation),
        kernel_dilation=tuple(kernel_dilation),
        result_dtype=None,
    )
    kernel = jnp.moveaxis(kernel.astype(wide), 0, -3)
    *plane_window, _, channels, features = kernel.shape
    y = conv_by_library(
        planes.reshape((x.shape[0] * out, *planes.shape[2:])),
        kernel.reshape((*plane_window, window * channels, features)),
        plane_options,
    )
    return y.reshape((x.shape[0], out, *y.shape[1:])).astype(result)
