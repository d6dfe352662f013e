"""Convolution whose gradients XLA's library for CPUs computes, inside loops too."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.core import max_dim
from jaxtyping import Array, Num

from jaxnets.functional.convolution.implementations.lax import (
    ConvOptions,
    conv_by_lax,
    dilated,
    misread_axes,
)
from jaxnets.functional.shared.linear_maps import bilinear_rule
from jaxnets.functional.shared.sharding import match_varying_axes
from jaxnets.functional.shared.sizes import Size, definitely


# Up to this number of groups the gradient of the kernel is one convolution per group.
# JAX's own gradient is grouped over the batch, which XLA's library for CPUs does not
# support. More groups would be too many small convolutions to compile.
_MOST_SEPARATE_GROUPS = 8


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def conv_by_library(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: ConvOptions,
) -> Num[Array, "batch *out features"]:
    """Convolve; both gradients are convolutions in the same layout.

    On CPUs XLA calls its convolution library only for channels-last inputs with HWIO
    kernels. It transposes other layouts to these, but not inside loops, where they
    become a plain loop nest. JAX's gradients are in other layouts, since transposing
    the primitive exchanges the roles of axes and does not move data. Here both
    gradients transpose the data first, and then convolve in the layout above.
    """
    return conv_by_lax(x, kernel, options)


def _conv_by_library_jvp(options, primals, tangents):
    x, kernel = map(shape_of, primals)
    return bilinear_rule(
        functools.partial(conv_by_library, options=options),
        functools.partial(_input_gradient, options=options, like=x),
        functools.partial(_kernel_gradient, options=options, like=kernel),
        primals,
        tangents,
    )


conv_by_library.defjvp(_conv_by_library_jvp, symbolic_zeros=True)


def shape_of(array: jax.Array) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of an array."""
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _input_gradient(dy, kernel, *, options: ConvOptions, like):
    """Return the gradient of `x`: `dy` convolved with the flipped kernel.

    Input and output features of the kernel are swapped, in each group. `like` has the
    shape and dtype of the result.
    """
    *window, channels, features = kernel.shape
    n, groups = len(window), options.groups
    kernel = jnp.flip(kernel, tuple(range(n)))
    kernel = kernel.reshape((*window, channels, groups, features // groups))
    kernel = jnp.swapaxes(kernel, n, n + 2)
    kernel = kernel.reshape((*window, features // groups, groups * channels))
    sizes = zip(like.shape[1:-1], dy.shape[1:-1], window, strict=True)
    steps = zip(*options[:4], strict=True)
    pairs = []
    for (size, out, k), (stride, (low, _), gap, step) in zip(sizes, steps, strict=True):
        dilated_size = max_dim((size - 1) * gap + 1, 0)
        high = dilated_size + low - (out - 1) * stride - 1
        pairs.append((step * (k - 1) - low, high))
    transposed = options._replace(
        strides=options.input_dilation,
        pairs=tuple(pairs),
        input_dilation=options.strides,
        result_dtype=None,
    )
    dx = conv_by_library(dy, kernel.astype(dy.dtype), transposed)
    return dx.astype(like.dtype)


def _kernel_gradient(dy, x, *, options: ConvOptions, like):
    """Return the gradient of the kernel: `x` convolved with the window `dy`.

    The channels of the input are the batch, and the sum runs over the examples:
    `x (channels, *spatial, batch)` with the window `dy (*out, batch, features)` gives
    `(channels, *window, features)`. `like` has the shape and dtype of the result.
    """
    groups = options.groups
    if 1 < groups <= _MOST_SEPARATE_GROUPS:
        return _grouped_kernel_gradient(dy, x, options, like)
    if groups > 1:
        of_kernel = lambda kernel: conv_by_lax(x, kernel, options)
        kernel, x, dy = match_varying_axes(jnp.zeros(like.shape, like.dtype), x, dy)
        return jax.linear_transpose(of_kernel, kernel)(dy)[0]
    x = x.astype(dy.dtype)
    rows = dilated(x, options.input_dilation)
    if _input_as_window(rows, dy, options):
        gradient = _swapped_kernel_gradient(dy, rows, options, like.shape[:-2])
        return gradient.astype(like.dtype)
    sizes = zip(rows.shape[1:-1], dy.shape[1:-1], like.shape[:-2], strict=True)
    steps = zip(*options[:2], options.kernel_dilation, strict=True)
    pairs = []
    for (size, out, k), (stride, (low, _), dilation) in zip(sizes, steps, strict=True):
        reach = dilation * (k - 1) + (out - 1) * stride + 1
        pairs.append((low, reach - size - low))
    transposed = options._replace(
        strides=options.kernel_dilation,
        pairs=tuple(pairs),
        kernel_dilation=options.strides,
        result_dtype=None,
    )
    if not misread_axes(x.shape[1:-1], dy.shape[1:-1], transposed):
        # XLA's library supports a dilated window, but no dilated input.
        x = rows
        transposed = transposed._replace(input_dilation=(1,) * len(pairs))
    image, window = jnp.swapaxes(x, 0, -1), jnp.moveaxis(dy, 0, -2)
    gradient = conv_by_library(image, window, transposed)
    return jnp.moveaxis(gradient, 0, -2).astype(like.dtype)


def _grouped_kernel_gradient(dy, x, options: ConvOptions, like):
    """Return the gradient of the kernel, group by group."""
    groups = options.groups
    ungrouped = options._replace(groups=1)
    shape = (*like.shape[:-1], like.shape[-1] // groups)
    like = jax.ShapeDtypeStruct(shape, like.dtype)
    pairs = zip(jnp.split(dy, groups, -1), jnp.split(x, groups, -1), strict=True)
    gradients = [
        _kernel_gradient(dy, x, options=ungrouped, like=like) for dy, x in pairs
    ]
    return jnp.concatenate(gradients, -1)


def _input_as_window(x, dy, options) -> bool:
    """Return whether the kernel's gradient has `x` as the window and `dy` as the image.

    In a loop `x` is a slice of the stacked residuals of all steps. Making it the
    window moves only whole rows of channels, which the copy of the slice does anyway.
    XLA's library wants a window that is no larger than the image, and many features
    rather than few. JAX wants a window that is not empty.
    """
    sizes = zip(x.shape[1:-1], dy.shape[1:-1], strict=True)
    fits = all(definitely(lambda n=n, m=m: 1 <= n <= m) for n, m in sizes)
    return fits and max(options.strides) == 1 and x.shape[-1] >= dy.shape[-1]


def _swapped_kernel_gradient(dy, x, options: ConvOptions, window: Sequence[Size]):
    """Convolve `dy (features, *out, batch)` with `x (*spatial, batch, channels)`."""
    sizes = zip(x.shape[1:-1], dy.shape[1:-1], window, strict=True)
    steps = zip(options.pairs, options.kernel_dilation, strict=True)
    pairs = []
    for (size, out, k), ((low, _), dilation) in zip(sizes, steps, strict=True):
        before = dilation * (k - 1) - low
        pairs.append((before, dilation * (k - 1) + size - out - before))
    ones = (1,) * len(pairs)
    transposed = ConvOptions(
        options.kernel_dilation, tuple(pairs), ones, ones, 1, options.precision, None
    )
    image, rows = jnp.swapaxes(dy, 0, -1), jnp.moveaxis(x, 0, -2)
    gradient = conv_by_library(image, rows, transposed)
    spatial = tuple(range(1, len(pairs) + 1))
    return jnp.moveaxis(jnp.flip(gradient, spatial), 0, -1)
