"""Linear maps that name their transpose, in derivatives of every order and mode.

JAX transposes a gather into a scatter, a sum of floats in no fixed order on GPUs, and a
convolution into one whose layout XLA on CPUs has no library for. `linear_map` states a
better way: the transpose of a map is the other one of the pair.
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

from jaxnets.typing import ArrayLike


Map = Callable[..., jax.Array]


def linear_map(
    forward: Map,
    transpose: Map,
    x: Shaped[Array, "..."],
    *others: Shaped[Array, "..."],
) -> Shaped[Array, "..."]:
    """Return `forward(x, *others)`, linear in `x`, which `transpose` transposes.

    Args:
        forward: The map. Its derivatives by `others` are JAX's; by `x` it needs none.
        transpose: `transpose(cotangent, *others)`, of the shape of `x`; the same in
            return.
        x: Floating-point numbers; what the map is linear in.
        others: Further arguments, such as indices.

    Example:
        >>> import jax.numpy as jnp
        >>> twice = lambda x: linear_map(lambda x: 2 * x, lambda ct: ct + ct, x)
        >>> jax.grad(twice)(jnp.ones(()))
        Array(2., dtype=float32)
    """
    return _linear_map.bind(x, *others, forward=forward, transpose=transpose)


def product_rule(
    y: Shaped[Array, "*shape"], *terms: tuple[ArrayLike | SymbolicZero, Map]
) -> Shaped[Array, "*shape"]:
    """Return the tangent of a product: of each factor that moves, what it adds.

    A constant, such as the data in a first layer, costs nothing. Nor does the sum begin
    with zeros, which JAX would keep for the way back, an array like `y` in every layer.

    Args:
        y: The product; its tangent is of this shape and dtype.
        terms: Of each factor its tangent, and the product with that in its place.

    Example:
        >>> import jax.numpy as jnp
        >>> product_rule(jnp.ones(()), (jnp.ones(()), lambda dx: 2 * dx))
        Array(2., dtype=float32)
    """
    moves = [
        by(jnp.asarray(tangent))
        for tangent, by in terms
        if not isinstance(tangent, SymbolicZero)
    ]
    return functools.reduce(jnp.add, moves) if moves else jnp.zeros_like(y)


class _Mapped(NamedTuple):
    """A map over an axis of its arguments, in front where it is not None."""

    function: Map
    axes: tuple[int | None, ...]

    def __call__(self, *arguments: jax.Array) -> jax.Array:
        return jax.vmap(self.function, self.axes)(*arguments)


def _computed(*arguments, forward: Map, transpose: Map) -> jax.Array:
    del transpose
    return forward(*arguments)


def _abstract(*avals, forward: Map, transpose: Map):
    del transpose
    return jax.make_jaxpr(forward)(*avals).out_avals[0]


def _jvp(primals, tangents, *, forward: Map, transpose: Map):
    (x, *others), (tangent, *moves) = primals, tangents
    maps = {"forward": forward, "transpose": transpose}
    y = _linear_map.bind(x, *others, **maps)
    moving = [i for i, move in enumerate(moves) if _moves(move)]
    if not moving:
        return y, _linear_map.bind(ad.instantiate_zeros(tangent), *others, **maps)

    def along(*values: jax.Array) -> jax.Array:
        filled = list(others)
        for i, value in zip(moving, values, strict=True):
            filled[i] = value
        return forward(x, *filled)

    places = [others[i] for i in moving]
    dy = jax.jvp(along, places, [moves[i] for i in moving])[1]
    if _moves(tangent):
        dy += _linear_map.bind(tangent, *others, **maps)
    return y, dy


def _moves(tangent) -> bool:
    """Say whether a tangent is other than zero; integers have none."""
    return not isinstance(tangent, ad.Zero) and tangent.dtype != jax.dtypes.float0


def _transposed(cotangent, x, *others, forward: Map, transpose: Map):
    nothing = [None] * len(others)
    if isinstance(cotangent, ad.Zero):
        return [ad.Zero(x.aval), *nothing]
    back = _linear_map.bind(cotangent, *others, forward=transpose, transpose=forward)
    return [back, *nothing]


def _batched(arguments, axes, *, forward: Map, transpose: Map):
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
_linear_map.def_impl(_computed)
_linear_map.def_abstract_eval(_abstract)
ad.primitive_jvps[_linear_map] = _jvp
ad.primitive_transposes[_linear_map] = _transposed
batching.primitive_batchers[_linear_map] = _batched
mlir.register_lowering(_linear_map, mlir.lower_fun(_computed, multiple_results=False))
