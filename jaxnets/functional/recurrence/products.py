"""The matrix products of a recurrence: pre-activations, and gradients of weights."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact

from jaxnets.functional.recurrence.cell import BoundCell, Weights
from jaxnets.functional.shared.dtypes import accumulation_dtype


def product(
    x: Inexact[Array, "*lead inner"], w: Inexact[Array, "inner outer"]
) -> Inexact[Array, "*lead outer"]:
    """Multiply `x @ w`; 16-bit arguments have a result in float32."""
    return jnp.matmul(x, w, preferred_element_type=accumulation_dtype(x.dtype))


def plus_bias(a: Array, b: Any) -> Array:
    """Add a bias to `a`, in the dtype of `a`; None adds nothing."""
    return a if b is None else a + jnp.broadcast_to(b.astype(a.dtype), a.shape)


def input_share(weights: Weights, x: Any) -> Array:
    """Compute `x @ w_xh + b`, the input's share of the pre-activations."""
    return plus_bias(product(x, weights.w_xh), weights.b)


def preactivations(
    cell: BoundCell, from_x: Array, h: Array, weights: Weights
) -> tuple[Array, ...]:
    """Add `h @ w_hh` to the input's share; return one array for each of `cell.parts`.

    Args:
        cell: The cell.
        from_x: The input's share of all columns of `w_xh`.
        h: What `w_hh` multiplies.
        weights: The weights, which a loop may have made arguments of its own.
    """
    shares = [None if part.x is None else from_x[..., part.x] for part in cell.parts]
    return sums_of_shares(cell, shares, h, weights)


def sums_of_shares(
    cell: BoundCell, shares: Sequence[Array | None], h: Array, weights: Weights
) -> tuple[Array, ...]:
    """Do the same with the input's share given part by part; None where it has none."""
    from_h = product(h, weights.w_hh)

    def total(share: Array | None, columns: slice | None) -> Array:
        if columns is None:
            assert share is not None  # every part has columns of w_xh or of w_hh
            return share
        if share is None:
            return plus_bias(from_h[..., columns], weights.b_h)
        return share + from_h[..., columns]

    pairs = zip(shares, cell.parts, strict=True)
    return tuple(total(share, part.h) for share, part in pairs)


def weight_gradients(
    cell: BoundCell, weights: Weights, x: Array, h: Array, ct_parts: Sequence[Array]
) -> tuple[Weights, Array]:
    """Return the cotangents of the weights and of `x`, by one product for each part.

    Args:
        cell: The cell.
        weights: Its weights.
        x: The inputs of many steps, time first.
        h: What `w_hh` multiplied in these steps.
        ct_parts: The cotangents of the pre-activations, part by part.
    """
    # The arguments were multiplied in 16 bits, and so are their cotangents.
    narrow = [ct.astype(x.dtype) for ct in ct_parts]
    flat = lambda a: a.reshape(-1, a.shape[-1])
    over_time = lambda a, cts: jnp.concatenate(
        [product(flat(a).T, flat(ct)) for ct in cts], axis=-1
    )
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
        over_time(x, from_x).astype(weights.w_xh.dtype),
        over_time(h, from_h).astype(weights.w_hh.dtype),
        of_bias(weights.b, select(ct_parts, lambda part: part.x)),
        of_bias(weights.b_h, select(ct_parts, lambda part: not part.x)),
    )
    w_xh = [weights.w_xh[:, part.x] for part in cell.parts if part.x]
    shares = [product(ct, w.T) for ct, w in zip(from_x, w_xh, strict=True)]
    return ct_weights, sum(shares[1:], shares[0]).astype(x.dtype)


def projects_all_steps_at_once() -> bool:
    """Return whether `x @ w_xh` of all steps is one product before the loop.

    An accelerator computes one large product much faster than many small ones. On a
    CPU the small ones are as fast and their results stay in the cache, while the large
    result is written to memory and read again.
    """
    return jax.default_backend() != "cpu"
