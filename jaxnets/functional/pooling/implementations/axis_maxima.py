"""The maximum over one axis, whose whole cotangent goes to the first that holds it."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Shaped

from jaxnets.functional.shared.dtypes import lowest


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def first_max(
    x: Shaped[Array, "..."], axis: int, seen: Bool[Array, "..."] | None = None
) -> Shaped[Array, "..."]:
    """Return the maximum over an axis; of equal ones the first is differentiated.

    A NaN counts as the largest, the first of several.

    Args:
        x: Real numbers, integers or booleans.
        axis: The axis that goes, counted from the front.
        seen: Which elements take part, of a shape that broadcasts to that of `x`;
            None for all. Where none does the result is minus infinity, or the smallest
            integer.

    Example:
        >>> jax.grad(lambda x: first_max(x, 0))(jnp.ones(3))
        Array([1., 0., 0.], dtype=float32)
    """
    identity = lowest(x.dtype)
    if seen is not None:
        x = jnp.where(seen, x, jnp.asarray(identity, x.dtype))
    return jnp.max(x, axis=axis, initial=identity)


@first_max.defjvp
def _first_max_jvp(axis, primals, tangents):
    (x, seen), (tangent, _) = primals, tangents
    maxima = first_max(x, axis, seen)
    winning = (x == jnp.expand_dims(maxima, axis)) | jnp.isnan(x)
    if seen is not None:
        winning &= seen
    size = x.shape[axis]
    places = jax.lax.broadcasted_iota(jnp.int32, x.shape, axis)
    firsts = jnp.min(
        jnp.where(winning, places, size), axis=axis, keepdims=True, initial=size
    )
    return maxima, _first(tangent, firsts, axis)


@functools.partial(jax.checkpoint, prevent_cse=False, static_argnums=2)
def _first(x: jax.Array, firsts: jax.Array, axis: int) -> jax.Array:
    """Return what stands at the place `firsts` of an axis.

    The checkpoint keeps that place; JAX by itself keeps of each element whether it is
    the one.
    """
    places = jax.lax.broadcasted_iota(firsts.dtype, x.shape, axis)
    return jnp.sum(jnp.where(places == firsts, x, 0), axis=axis)
