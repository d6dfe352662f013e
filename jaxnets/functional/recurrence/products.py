"""The matrix products of a recurrence: pre-activations and gradients of weights."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jaxtyping import Array, Inexact

from jaxnets.functional.recurrence.cell import BoundCell, Weights
from jaxnets.functional.shared.barriers import computed_once
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.sharding import expand_rank


def product(
    x: Inexact[Array, "*lead inner"], w: Inexact[Array, "inner outer"]
) -> Inexact[Array, "*lead outer"]:
    """Return `x @ w`, in float32 for arguments of 16 bits."""
    return jnp.matmul(x, w, preferred_element_type=accumulation_dtype(x.dtype))


def add_bias(a: Array, b: Any) -> Array:
    """Add a bias to `a`, in the dtype of `a`, unless it is None."""
    return a if b is None else a + expand_rank(b.astype(a.dtype), a.ndim)


def input_projection(weights: Weights, x: Any) -> Array:
    """Return `x @ w_xh + b`."""
    return add_bias(product(x, weights.w_xh), weights.b)


def preactivations(
    cell: BoundCell, from_x: Array, h: Array, weights: Weights
) -> tuple[Array, ...]:
    """Add `h @ w_hh` to the input projection; return an array for each of `cell.parts`.

    Args:
        cell: The cell.
        from_x: The input projection `x_t @ w_xh + b`.
        h: The array that `w_hh` multiplies.
        weights: The weights; a loop passes its own arguments, not `cell.weights`.
    """
    by_part = [None if part.x is None else from_x[..., part.x] for part in cell.parts]
    return sum_projections(cell, by_part, h, weights)


def sum_projections(
    cell: BoundCell, from_x: Sequence[Array | None], h: Array, weights: Weights
) -> tuple[Array, ...]:
    """Do the same, with the input projection of each part, or None if it has none."""
    from_h = product(h, weights.w_hh)

    def total(from_x: Array | None, columns: slice | None) -> Array:
        if columns is None:
            assert from_x is not None  # every part has columns of w_xh or of w_hh
            return from_x
        if from_x is None:
            return add_bias(from_h[..., columns], weights.b_h)
        return from_x + from_h[..., columns]

    pairs = zip(from_x, cell.parts, strict=True)
    return tuple(total(x_part, part.h) for x_part, part in pairs)


def weight_gradients(
    cell: BoundCell, weights: Weights, x: Array, h: Array, ct_parts: Sequence[Array]
) -> tuple[Weights, Array]:
    """Return the cotangents of the weights and of `x`, with one product for each part.

    Args:
        cell: The cell.
        weights: Its weights.
        x: The inputs of many steps, time first.
        h: The arrays that `w_hh` multiplied in these steps.
        ct_parts: The cotangents of the pre-activations of each part.
    """
    # Arguments of 16 bits were multiplied in 16 bits, and so are their cotangents.
    narrow = [ct.astype(x.dtype) for ct in ct_parts]
    over_time = lambda a, cts, w: jnp.concatenate(
        [_sum_of_products(a, ct, w) for ct in cts], axis=-1
    ).astype(w.dtype)
    select = lambda cts, wanted: [
        ct for ct, part in zip(cts, cell.parts, strict=True) if wanted(part)
    ]

    def of_bias(b: Any, cts: list[Array]) -> Any:
        if b is None:
            return None
        lead = tuple(range(x.ndim - 1))
        return jnp.concatenate([jnp.sum(ct, lead) for ct in cts]).astype(b.dtype)

    from_x = select(narrow, lambda part: part.x)
    from_h = select(narrow, lambda part: part.h)
    ct_weights = Weights(
        over_time(x, from_x, weights.w_xh),
        over_time(h, from_h, weights.w_hh),
        of_bias(weights.b, select(ct_parts, lambda part: part.x)),
        of_bias(weights.b_h, select(ct_parts, lambda part: not part.x)),
    )
    w_xh = [weights.w_xh[:, part.x] for part in cell.parts if part.x]
    first, *others = [product(ct, w.T) for ct, w in zip(from_x, w_xh, strict=True)]
    return ct_weights, sum(others, first).astype(x.dtype)


def _sum_of_products(a: Array, ct: Array, w: Array) -> Array:
    """Return the sum of `a^T ct` over all axes but the last, sharded as `w`.

    The sum is over several axes. To flatten them to one first would gather a batch that
    is sharded. Without the barrier, XLA transposes `a` where it is multiplied.
    """
    lead = tuple(range(a.ndim - 1))
    return jax.lax.dot_general(
        computed_once(a),
        ct,
        ((lead, lead), ((), ())),
        preferred_element_type=accumulation_dtype(a.dtype),
        out_sharding=NamedSharding(
            jax.typeof(ct).sharding.mesh, jax.typeof(w).sharding.spec
        ),
    )
