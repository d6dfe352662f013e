"""Grouped convolution as ungrouped ones, each of a block of groups.

XLA's library for CPUs does not support groups.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxnets.functional.convolution.implementations.lax import ConvOptions
from jaxnets.functional.convolution.implementations.library import (
    conv_by_library,
)
from jaxnets.functional.convolution.implementations.planes import conv_by_planes
from jaxnets.functional.convolution.implementations.product import conv_by_product
from jaxnets.functional.shared.barriers import computed_once


# A block has at least this many channels, and its kernel is zero between groups. With
# fewer channels the library's vectors would be partly empty.
_BLOCK_CHANNELS = 16
# Each block is a convolution, and the time to compile grows with their number.
_MOST_BLOCKS = 64


def conv_by_blocks(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: ConvOptions,
) -> Num[Array, "batch *out features"]:
    """Convolve with one ungrouped convolution for each block of groups."""
    groups = options.groups
    size = groups_in_a_block(groups, kernel.shape[-2])
    ungrouped = options._replace(groups=1)
    blocks = zip(
        jnp.split(x, groups // size, -1),
        jnp.split(_block_diagonal(kernel, groups, size), groups // size, -1),
        strict=True,
    )
    # The input may be the carry of a scan, as the cotangent is in the backward pass. If
    # only the slices read the carry, XLA overwrites it; otherwise it copies it first.
    outputs = [
        computed_once(ungrouped_conv(computed_once(x), kernel, ungrouped))
        for x, kernel in blocks
    ]
    return jnp.concatenate(outputs, -1)


def groups_in_a_block(groups: int, channels: int) -> int:
    """Return the number of groups in a block, for groups of `channels` channels.

    Example:
        >>> groups_in_a_block(32, 8)
        2
    """
    divisors = [size for size in range(1, groups + 1) if groups % size == 0]
    suits = lambda size: (
        size * channels >= _BLOCK_CHANNELS and groups // size <= _MOST_BLOCKS
    )
    return next((size for size in divisors if suits(size)), groups)


def ungrouped_conv(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels features"],
    options: ConvOptions,
) -> Num[Array, "batch *out features"]:
    """Convolve without groups, by the implementation that suits the window."""
    window = kernel.shape[:-2]
    if math.prod(window) == 1:
        return conv_by_product(x, kernel, options)
    if len(window) == 3:
        return conv_by_planes(x, kernel, options)
    return conv_by_library(x, kernel, options)


def _block_diagonal(kernel: jax.Array, groups: int, size: int) -> jax.Array:
    """Return the kernel of blocks of `size` groups, with zeros between groups.

    `(*window, channels_per_group, features)` becomes `(*window, size *
    channels_per_group, features)`.
    """
    *window, channels, features = kernel.shape
    per_group = features // groups
    kernel = kernel.reshape((*window, 1, channels, groups // size, size, per_group))
    diagonal = jnp.eye(size, dtype=kernel.dtype).reshape((size, 1, 1, size, 1))
    diagonal = diagonal.reshape((1,) * len(window) + diagonal.shape)
    return (kernel * diagonal).reshape((*window, size * channels, features))
