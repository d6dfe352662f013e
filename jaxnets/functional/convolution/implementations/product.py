"""Convolution with a window of one element, as a matrix product over channels."""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from jaxnets.functional.convolution.implementations.lax import ConvOptions, conv_by_lax
from jaxnets.functional.shared.linear_maps import linear_map, product_rule


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def conv_by_product(
    x: Num[Array, "batch *spatial channels"],
    kernel: Num[Array, "*ones channels features"],
    options: ConvOptions,
) -> Num[Array, "batch *out features"]:
    """Convolve with a window of one element by a matrix product over channels.

    With strides a product would need a copy of the elements that are read; JAX's
    convolution reads them in place. The gradients are products in either case.
    """
    if max(options.strides) > 1:
        return conv_by_lax(x, kernel, options)
    return _sum_over_channels(_elements_read(x, options), kernel, options)


@functools.partial(conv_by_product.defjvp, symbolic_zeros=True)
def _conv_by_product_jvp(options, primals, tangents):
    (x, kernel), (dx, dkernel) = primals, tangents
    y = conv_by_product(x, kernel, options)
    elements, kernel = _elements_read(x, options), jnp.asarray(kernel)
    of_elements = functools.partial(_sum_over_channels, options=options)
    of_kernel = lambda kernel, elements: of_elements(elements, kernel)
    # JAX keeps these functions, so they close over no arrays.
    x_dtype, shape, dtype = x.dtype, kernel.shape, kernel.dtype

    def grad_elements(dy: jax.Array, kernel: jax.Array) -> jax.Array:
        transposed = jnp.swapaxes(kernel, -1, -2)
        return _sum_over_channels(dy, transposed, options).astype(x_dtype)

    def grad_kernel(dy: jax.Array, elements: jax.Array) -> jax.Array:
        matrix = _multiply(_rows(elements).T, _rows(dy), options)
        return matrix.reshape(shape).astype(dtype)

    def term_of_x(dx: jax.Array) -> jax.Array:
        elements = _elements_read(dx, options)
        return linear_map(of_elements, grad_elements, elements, kernel)

    def term_of_kernel(dkernel: jax.Array) -> jax.Array:
        return linear_map(of_kernel, grad_kernel, dkernel, elements)

    return y, product_rule(y, (dx, term_of_x), (dkernel, term_of_kernel))


def _elements_read(x: jax.Array, options: ConvOptions) -> jax.Array:
    """Return the elements of the padded and dilated input that the window reads."""
    axes = zip(options.pairs, options.input_dilation, strict=True)
    config = [(low, high, gap - 1) for (low, high), gap in axes]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *config, (0, 0, 0)])
    return jax.lax.slice(x, [0] * x.ndim, x.shape, (1, *options.strides, 1))


def _sum_over_channels(elements, kernel, options: ConvOptions) -> jax.Array:
    """Multiply `(batch, *out, channels)` with `(*ones, channels, features)`."""
    matrix = kernel.reshape(kernel.shape[-2:])
    y = _multiply(_rows(elements), matrix, options)
    return y.reshape((*elements.shape[:-1], y.shape[-1]))


def _rows(elements: jax.Array) -> jax.Array:
    # XLA copies the operands of a product over several axes to put these axes last.
    return elements.reshape((math.prod(elements.shape[:-1]), elements.shape[-1]))


def _multiply(a: jax.Array, b: jax.Array, options: ConvOptions) -> jax.Array:
    """Return the matrix product `a @ b`, rounded once."""
    wide, result = options.dtypes(a.dtype)
    # XLA on CPUs multiplies bfloat16 as it is and sums in float32: no need to widen.
    if not (a.dtype == b.dtype == jnp.bfloat16):
        a, b = a.astype(wide), b.astype(wide)
    y = jnp.matmul(a, b, precision=options.precision, preferred_element_type=wide)
    return y.astype(result)
