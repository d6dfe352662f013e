"""The convolution sum over canonical options, and how its derivative is laid out."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxnets.functional.convolution.implementations.lax import (
    ConvOptions,
    conv_sum,
    dilated,
)
from jaxnets.functional.shared.linear_maps import linear_map, product_rule


# Kernel gradients of up to so many groups are one convolution each. The primitive's
# own, grouped over the batch, took 2 to 11 times as long on CPU with 2 and 4 groups;
# with 16 it took the same, and many small convolutions are slow to compile.
_MOST_SEPARATE_GROUPS = 8


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def conv_sum_ordinary_gradients(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: ConvOptions,
) -> Num[Array, "batch *places features"]:
    """Sum over the window; its derivatives are convolutions in the ordinary layout.

    XLA on CPU calls its convolution library only for channels-last inputs with HWIO
    kernels. It transposes other layouts to these, but not inside loops, where they
    become a plain loop nest. JAX's gradients are in other layouts, since transposing
    the primitive exchanges the roles of axes and never moves data. So both are stated
    here as convolutions like this one, of data moved beforehand.
    """
    return conv_sum(x, kernel, options)


def _tangent(options, primals, tangents):
    (x, kernel), (dx, dkernel) = primals, tangents
    y = conv_sum_ordinary_gradients(x, kernel, options)
    by_x = functools.partial(conv_sum_ordinary_gradients, options=options)
    by_kernel = lambda kernel, x: conv_sum_ordinary_gradients(x, kernel, options)
    to_x = functools.partial(_input_gradient, options=options, like=_like(x))
    to_kernel = functools.partial(_kernel_gradient, options=options, like=_like(kernel))
    return y, product_rule(
        y,
        (dx, lambda dx: linear_map(by_x, to_x, dx, kernel)),
        (dkernel, lambda dkernel: linear_map(by_kernel, to_kernel, dkernel, x)),
    )


conv_sum_ordinary_gradients.defjvp(_tangent, symbolic_zeros=True)


def _like(array: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _input_gradient(dy, kernel, *, options: ConvOptions, like):
    """Transpose `conv_sum` in `x`: convolve `dy` with the kernel turned round.

    In and out features of the kernel are exchanged, in each group.
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
        before, dilated_size = step * (k - 1) - low, max((size - 1) * gap + 1, 0)
        pairs.append((before, dilated_size + low - (out - 1) * stride - 1))
    turned = options._replace(
        strides=options.input_dilation,
        pairs=tuple(pairs),
        input_dilation=options.strides,
        result_dtype=None,
    )
    dx = conv_sum_ordinary_gradients(dy, kernel.astype(dy.dtype), turned)
    return dx.astype(like.dtype)


def _kernel_gradient(dy, x, *, options: ConvOptions, like):
    """Transpose `conv_sum` in `kernel`: convolve `x` with the window `dy`.

    The batch are the input's channels, and what is summed over are the examples:
    `x (channels, *spatial, batch)` with the window `dy (*places, batch, features)`
    gives `(channels, *window, features)`.
    """
    groups = options.groups
    if 1 < groups <= _MOST_SEPARATE_GROUPS:
        alone = options._replace(groups=1)
        of_group = jax.ShapeDtypeStruct(
            (*like.shape[:-1], like.shape[-1] // groups), like.dtype
        )
        parts = zip(jnp.split(dy, groups, -1), jnp.split(x, groups, -1), strict=True)
        gradients = [
            _kernel_gradient(dy, x, options=alone, like=of_group) for dy, x in parts
        ]
        return jnp.concatenate(gradients, -1)
    if groups > 1:
        by_kernel = lambda kernel: conv_sum(x, kernel, options)
        return jax.linear_transpose(by_kernel, like)(dy)[0]
    x = dilated(x.astype(dy.dtype), options.input_dilation)
    if _input_as_window(x, dy, options):
        gradient = _turned_kernel_gradient(dy, x, options, like.shape[:-2])
        return gradient.astype(like.dtype)
    sizes = zip(x.shape[1:-1], dy.shape[1:-1], like.shape[:-2], strict=True)
    steps = zip(*options[:2], options.kernel_dilation, strict=True)
    pairs = []
    for (size, out, k), (stride, (low, _), dilation) in zip(sizes, steps, strict=True):
        reach = dilation * (k - 1) + (out - 1) * stride + 1
        pairs.append((low, reach - size - low))
    moved = options._replace(
        strides=options.kernel_dilation,
        pairs=tuple(pairs),
        input_dilation=(1,) * len(pairs),
        kernel_dilation=options.strides,
        result_dtype=None,
    )
    image, window = jnp.swapaxes(x, 0, -1), jnp.moveaxis(dy, 0, -2)
    gradient = conv_sum_ordinary_gradients(image, window, moved)
    return jnp.moveaxis(gradient, 0, -2).astype(like.dtype)


def _input_as_window(x, dy, options) -> bool:
    """Say whether the kernel's gradient has `x` for the window and `dy` for the image.

    In a loop `x` is a slice of what all steps stored. To make it a window moves whole
    rows of channels, which a copy of the slice does anyway: for 16 channels that took
    0.2 ms beside 0.6 ms. XLA's library wants the window no larger than the image, and
    many features rather than few.
    """
    sizes = zip(x.shape[1:-1], dy.shape[1:-1], strict=True)
    fits = max(options.strides) == 1 and all(n <= m for n, m in sizes)
    return fits and x.shape[-1] >= dy.shape[-1]


def _turned_kernel_gradient(dy, x, options: ConvOptions, window: Sequence[int]):
    """Convolve `dy (features, *places, batch)` with `x (*spatial, batch, channels)`."""
    sizes = zip(x.shape[1:-1], dy.shape[1:-1], window, strict=True)
    steps = zip(options.pairs, options.kernel_dilation, strict=True)
    pairs = []
    for (size, out, k), ((low, _), dilation) in zip(sizes, steps, strict=True):
        before = dilation * (k - 1) - low
        pairs.append((before, dilation * (k - 1) + size - out - before))
    ones = (1,) * len(pairs)
    moved = ConvOptions(
        options.kernel_dilation, tuple(pairs), ones, ones, 1, options.precision, None
    )
    image, rows = jnp.swapaxes(dy, 0, -1), jnp.moveaxis(x, 0, -2)
    gradient = conv_sum_ordinary_gradients(image, rows, moved)
    spatial = tuple(range(1, len(pairs) + 1))
    return jnp.moveaxis(jnp.flip(gradient, spatial), 0, -1)
