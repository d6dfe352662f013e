"""Convolutions made of other ones that XLA's CPU library is better at.

Each function here rewrites the sum over the window and leaves all derivatives to JAX,
which then falls on the operations of `conv_rules`.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxnets.functional.convolution.implementations.lax import ConvOptions
from jaxnets.functional.convolution.implementations.library import (
    conv_sum_ordinary_gradients,
)
from jaxnets.functional.convolution.implementations.planes import conv_sum_by_planes
from jaxnets.functional.convolution.implementations.product import conv_sum_by_product
from jaxnets.functional.shared.barriers import computed_once


# Fewer channels than this leave the library's vectors half empty, so blocks of groups
# are filled up to it, with zeros between groups.
_BLOCK_CHANNELS = 16
# More convolutions than this take long to compile.
_MOST_BLOCKS = 64


def conv_sum_by_blocks(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels_per_group features"],
    options: ConvOptions,
) -> Num[Array, "batch *places features"]:
    """Sum over the window with one ungrouped convolution for each block of groups."""
    groups = options.groups
    members = groups_in_a_block(groups, kernel.shape[-2])
    alone = options._replace(groups=1)
    parts = zip(
        jnp.split(x, groups // members, -1),
        jnp.split(_block_diagonal(kernel, groups, members), groups // members, -1),
        strict=True,
    )
    # The input may be the carry of a scan, as the cotangent is on the way back. If only
    # the cuts read it, XLA writes the next carry over it; else it copies it first.
    sums = [
        computed_once(dense_sum(computed_once(x), kernel, alone)) for x, kernel in parts
    ]
    return jnp.concatenate(sums, -1)


def groups_in_a_block(groups: int, channels: int) -> int:
    """Return how many groups of so many channels make a block.

    Example:
        >>> groups_in_a_block(32, 8)
        2
    """
    divisors = [m for m in range(1, groups + 1) if groups % m == 0]
    fits = lambda m: m * channels >= _BLOCK_CHANNELS and groups // m <= _MOST_BLOCKS
    return next((m for m in divisors if fits(m)), groups)


def dense_sum(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*window channels features"],
    options: ConvOptions,
) -> Num[Array, "batch *places features"]:
    """Sum over the window of an ungrouped convolution by the way that suits it."""
    window = kernel.shape[:-2]
    if math.prod(window) == 1:
        return conv_sum_by_product(x, kernel, options)
    if len(window) == 3:
        return conv_sum_by_planes(x, kernel, options)
    return conv_sum_ordinary_gradients(x, kernel, options)


def _block_diagonal(kernel: jax.Array, groups: int, members: int) -> jax.Array:
    """Return the kernel of blocks of `members` groups, zero between groups.

    `(*window, channels_per_group, features)` becomes `(*window, members *
    channels_per_group, features)`.
    """
    *window, channels, features = kernel.shape
    wide = features // groups
    kernel = kernel.reshape((*window, 1, channels, groups // members, members, wide))
    own = jnp.eye(members, dtype=kernel.dtype).reshape((members, 1, 1, members, 1))
    own = own.reshape((1,) * len(window) + own.shape)
    return (kernel * own).reshape((*window, members * channels, features))
