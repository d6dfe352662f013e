"""Convolution with a window of one place: a matrix product over channels."""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxnets.functional.convolution.implementations.lax import ConvOptions, conv_sum
from jaxnets.functional.shared.linear_maps import linear_map, product_rule


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def conv_sum_by_product(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*ones channels features"],
    options: ConvOptions,
) -> Num[Array, "batch *places features"]:
    """Sum over a window of one place: a matrix product over channels.

    With strides the convolution reads the places where they lie, which a product needs
    a copy of; the gradients are products all the same.
    """
    if max(options.strides) > 1:
        return conv_sum(x, kernel, options)
    return _sum_over_channels(_visited(x, options), kernel, options)


@functools.partial(conv_sum_by_product.defjvp, symbolic_zeros=True)
def _tangent(options, primals, tangents):
    (x, kernel), (dx, dkernel) = primals, tangents
    y = conv_sum_by_product(x, kernel, options)
    places, kernel = _visited(x, options), jnp.asarray(kernel)
    by_places = functools.partial(_sum_over_channels, options=options)
    by_kernel = lambda kernel, places: by_places(places, kernel)

    def to_places(dy: jax.Array, kernel: jax.Array) -> jax.Array:
        turned = jnp.swapaxes(kernel, -1, -2)
        return _sum_over_channels(dy, turned, options).astype(x.dtype)

    def to_kernel(dy: jax.Array, places: jax.Array) -> jax.Array:
        matrix = _multiply(_rows(places).T, _rows(dy), options)
        return matrix.reshape(kernel.shape).astype(kernel.dtype)

    def along_x(dx: jax.Array) -> jax.Array:
        return linear_map(by_places, to_places, _visited(dx, options), kernel)

    return y, product_rule(
        y,
        (dx, along_x),
        (dkernel, lambda dkernel: linear_map(by_kernel, to_kernel, dkernel, places)),
    )


def _visited(x: jax.Array, options: ConvOptions) -> jax.Array:
    """Return the places that the window visits."""
    axes = zip(options.pairs, options.input_dilation, strict=True)
    config = [(low, high, gap - 1) for (low, high), gap in axes]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *config, (0, 0, 0)])
    return jax.lax.slice(x, [0] * x.ndim, x.shape, (1, *options.strides, 1))


def _sum_over_channels(places, kernel, options: ConvOptions) -> jax.Array:
    """Multiply `(batch, *places, channels)` with `(*ones, channels, features)`."""
    matrix = kernel.reshape(kernel.shape[-2:])
    y = _multiply(_rows(places), matrix, options)
    return y.reshape((*places.shape[:-1], y.shape[-1]))


def _rows(places: jax.Array) -> jax.Array:
    # XLA would move the places of a product over several axes to the end, in a copy.
    return places.reshape((math.prod(places.shape[:-1]), places.shape[-1]))


def _multiply(a: jax.Array, b: jax.Array, options: ConvOptions) -> jax.Array:
    """Return the matrix product `a @ b`, rounded once."""
    wide, result = options.dtypes(a.dtype)
    # XLA on CPU sums products of bfloat16 in float32, in half the time of wide ones.
    if not (a.dtype == b.dtype == jnp.bfloat16):
        a, b = a.astype(wide), b.astype(wide)
    y = jnp.matmul(a, b, precision=options.precision, preferred_element_type=wide)
    return y.astype(result)
