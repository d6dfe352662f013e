"""Linear maps with a given transpose, for derivatives of every order and mode.

JAX transposes a gather to a scatter, which on GPUs adds floats in no fixed order, and a
convolution to one in a layout that XLA's library for CPUs does not support.
`linear_map` replaces such a transpose: it takes a pair of maps, each of which is the
transpose of the other.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Shaped

from jaxnets.functional.shared.sharding import match_varying_axes
from jaxnets.typing import ArrayLike


Map = Callable[..., jax.Array]


def linear_map(
    forward: Map,
    transpose: Map,
    x: Shaped[Array, "..."],
    *others: Shaped[Array, "..."],
) -> Shaped[Array, "..."]:
    """Return `forward(x, *others)`, a map that is linear in `x`.

    Args:
        forward: The map. JAX differentiates it with respect to `others`; with respect
            to `x` its derivative is itself.
        transpose: The transpose of `forward` in `x`: `transpose(cotangent, *others)`
            returns the shape of `x`. Its own transpose is `forward`.
        x: Floating-point numbers, in which the map is linear.
        others: Further arguments, such as indices.

    Example:
        >>> import jax.numpy as jnp
        >>> twice = lambda x: linear_map(lambda x: 2 * x, lambda ct: ct + ct, x)
        >>> jax.grad(twice)(jnp.ones(()))
        Array(2., dtype=float32)
    """
    arguments = match_varying_axes(x, *others)
    return _linear_map.bind(*arguments, forward=forward, transpose=transpose)


def product_rule(
    y: Shaped[Array, "*shape"], *terms: tuple[ArrayLike | SymbolicZero, Map]
) -> Shaped[Array, "*shape"]:
    """Return the tangent of a product, by the product rule.

    A factor whose tangent is symbolically zero, such as the data in a first layer, adds
    no term. The sum does not start from an array of zeros either: JAX would store it as
    a residual, of the size of `y` in every layer.

    Args:
        y: The product. Its tangent has this shape and dtype.
        terms: For each factor its tangent, and the function that computes the product
            with the tangent instead of the factor.

    Example:
        >>> import jax.numpy as jnp
        >>> product_rule(jnp.ones(()), (jnp.ones(()), lambda dx: 2 * dx))
        Array(2., dtype=float32)
    """
    tangents = [
        product(jnp.asarray(tangent))
        for tangent, product in terms
        if not isinstance(tangent, SymbolicZero)
    ]
    return functools.reduce(jnp.add, tangents) if tangents else jnp.zeros_like(y)


def bilinear_rule(
    product: Map,
    to_left: Map,
    to_right: Map,
    primals: tuple[Array, Array],
    tangents: tuple[ArrayLike | SymbolicZero, ArrayLike | SymbolicZero],
) -> tuple[Array, Array]:
    """Return the value and the tangent of a product, with given transposes.

    Args:
        product: `product(left, right)`, linear in each factor.
        to_left: `to_left(cotangent, right)`, its transpose in `left`.
        to_right: `to_right(cotangent, left)`, its transpose in `right`.
        primals: The factors.
        tangents: Their tangents, as a rule with `symbolic_zeros` gets them.

    Example:
        >>> times = lambda a, b: a * b
        >>> factors = jnp.array([2.0]), jnp.array([3.0])
        >>> bilinear_rule(times, times, times, factors, factors)
        (Array([6.], dtype=float32), Array([12.], dtype=float32))
    """
    (left, right), (dleft, dright) = primals, tangents
    y = product(left, right)
    swapped = lambda right, left: product(left, right)
    return y, product_rule(
        y,
        (dleft, lambda dleft: linear_map(product, to_left, dleft, right)),
        (dright, lambda dright: linear_map(swapped, to_right, dright, left)),
    )


class _Mapped(NamedTuple):
    """A map under `vmap`, over axis 0 of each argument whose entry is not None."""

    function: Map
    axes: tuple[int | None, ...]

    def __call__(self, *arguments: jax.Array) -> jax.Array:
        return jax.vmap(self.function, self.axes)(*arguments)


def _evaluate(*arguments, forward: Map, transpose: Map) -> jax.Array:
    del transpose
    return forward(*arguments)


def _abstract_eval(*avals, forward: Map, transpose: Map):
    del transpose
    return jax.make_jaxpr(forward)(*avals).out_avals[0]


def _jvp(primals, tangents, *, forward: Map, transpose: Map):
    (x, *others), (dx, *d_others) = primals, tangents
    maps = {"forward": forward, "transpose": transpose}
    y = _linear_map.bind(x, *others, **maps)
    active = [i for i, tangent in enumerate(d_others) if _is_nonzero(tangent)]
    if not active:
        return y, _linear_map.bind(ad.instantiate_zeros(dx), *others, **maps)

    def forward_of_active(*values: jax.Array) -> jax.Array:
        arguments = list(others)
        for i, value in zip(active, values, strict=True):
            arguments[i] = value
        return forward(x, *arguments)

    active_primals = [others[i] for i in active]
    active_tangents = [d_others[i] for i in active]
    dy = jax.jvp(forward_of_active, active_primals, active_tangents)[1]
    if _is_nonzero(dx):
        dy += _linear_map.bind(dx, *others, **maps)
    return y, dy


def _is_nonzero(tangent) -> bool:
    """Return False for symbolic zeros and for the tangents of integers."""
    return not isinstance(tangent, ad.Zero) and tangent.dtype != jax.dtypes.float0


def _transpose(cotangent, x, *others, forward: Map, transpose: Map):
    no_cotangents = [None] * len(others)
    if isinstance(cotangent, ad.Zero):
        return [ad.Zero(x.aval), *no_cotangents]
    dx = _linear_map.bind(cotangent, *others, forward=transpose, transpose=forward)
    return [dx, *no_cotangents]


def _batch(arguments, axes, *, forward: Map, transpose: Map):
    pairs = list(zip(arguments, axes, strict=True))
    size = next(a.shape[axis] for a, axis in pairs if axis is not None)
    x = batching.bdim_at_front(*pairs[0], size)
    others = [
        a if axis is None else batching.bdim_at_front(a, axis, size)
        for a, axis in pairs[1:]
    ]
    fronts = (0, *(None if axis is None else 0 for axis in axes[1:]))
    y = _linear_map.bind(
        x,
        *others,
        forward=_Mapped(forward, fronts),
        transpose=_Mapped(transpose, fronts),
    )
    return y, 0


_linear_map = Primitive("linear_map")
_linear_map.def_impl(_evaluate)
_linear_map.def_abstract_eval(_abstract_eval)
ad.primitive_jvps[_linear_map] = _jvp
ad.primitive_transposes[_linear_map] = _transpose
batching.primitive_batchers[_linear_map] = _batch
mlir.register_lowering(_linear_map, mlir.lower_fun(_evaluate, multiple_results=False))
