"""Attention over the steps of a memory, additive and by dot products."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnets.arguments import as_array, check_number
from jaxnets.functional.recurrence.time.options import time_first, valid_steps
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.functional.shared.sharding import shard_like
from jaxnets.typing import ArrayLike


# A context and the weights of the steps of the memory.
Attended = tuple[
    Float[Array, "*batch_queries channels"], Float[Array, "*batch_queries time"]
]


def dot_product_attention(
    query: Float[ArrayLike, "*batch_queries features"],
    keys: Float[ArrayLike, "*batch time features"],
    values: Float[ArrayLike, "*batch time channels"],
    *,
    lengths: Int[ArrayLike, "*batch"] | None = None,
    scale: float | None = None,
) -> tuple[
    Float[Array, "*batch_queries channels"], Float[Array, "*batch_queries time"]
]:
    """Average the `values` of a memory, weighted by how well its `keys` fit `query`.

        e_t = scale * (q . k_t),  a = softmax(e),  c = sum over t of a_t v_t

    Args:
        query: q, `(*batch, *queries, F)`: any number of queries for each memory, such
            as none of these axes for one step of a decoder, or one axis for all steps.
        keys: k, `(*batch, T, F)`.
        values: v, `(*batch, T, D)`; often the same as the keys.
        lengths: Integers of shape `batch`, from 0 to T: the number of steps of each
            memory that are real; the others are padding. At padding the weights are
            zero, and keys and values, even NaN, reach no result and no gradient. A
            memory of length 0 gives a context and weights of zero. Only the shape is
            checked, since the values stay on the device.
        scale: Factor of the scores; None is `1 / sqrt(F)`, and 1.0 changes nothing.

    Returns:
        `(context, weights)`: c, `(*batch, *queries, D)`, and a, `(*batch, *queries,
        T)`, in the promoted dtype of the arrays. In 16 bits the scores and the softmax
        are computed in float32.

    Raises:
        TypeError: If an array does not hold floating-point numbers, `lengths` are not
            integers, or `scale` is not a number.
        ValueError: If the shapes do not match.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import dot_product_attention
        >>> memory = jnp.array([[[1.0, 0.0], [0.0, 9.0], [5.0, 5.0]]])
        >>> context, weights = dot_product_attention(
        ...     jnp.zeros((1, 2)), memory, memory, lengths=jnp.array([2])
        ... )
        >>> weights
        Array([[0.5, 0.5, 0. ]], dtype=float32)
        >>> context
        Array([[0.5, 4.5]], dtype=float32)

    Source: Luong et al. 2015, "Effective Approaches to Attention-based Neural Machine
    Translation", section 3.1, is `scale=1.0`; Vaswani et al. 2017, "Attention Is All
    You Need", section 3.2.1, is the default. `jax.nn.dot_product_attention` has an axis
    of heads, more masks and special kernels, and returns no weights.
    """
    query, keys, values = _checked(query, keys, values)
    if keys.shape[-1] != query.shape[-1]:
        raise ValueError(
            f"`query` has {query.shape[-1]} features (its shape is {query.shape}), and "
            f"`keys` have {keys.shape[-1]}; wanted equal numbers. Project one of them "
            "first, as `nn.DotProductAttention` does."
        )
    if scale is None:
        scale = 1 / math.sqrt(max(query.shape[-1], 1))
    check_number("scale", scale, "a number, or None for 1 / sqrt(features)")
    valid = real_steps(keys, lengths)
    e = scale * _product(query, zero_at_padding(keys, valid), keys.ndim - 2)
    return _weighted(e, values, valid)


def additive_attention(
    query: Float[ArrayLike, "*batch_queries units"],
    keys: Float[ArrayLike, "*batch time units"],
    values: Float[ArrayLike, "*batch time channels"],
    v: Float[ArrayLike, " units"],
    *,
    lengths: Int[ArrayLike, "*batch"] | None = None,
) -> tuple[
    Float[Array, "*batch_queries channels"], Float[Array, "*batch_queries time"]
]:
    """Average the `values` of a memory, weighted by scores of `query` and `keys`.

        e_t = v . tanh(q + k_t),  a = softmax(e),  c = sum over t of a_t m_t

    Project the query and the keys to A units first, as `nn.AdditiveAttention` does. A
    decoder then projects the keys of a memory only once for all its steps. All
    `queries * T * A` values of tanh are computed.

    Args:
        query: q, `(*batch, *queries, A)`, with any number of axes of queries.
        keys: k, `(*batch, T, A)`.
        values: m, `(*batch, T, D)`, often the memory from which the keys are computed.
        v: `(A,)`.
        lengths: As in `dot_product_attention`.

    Returns:
        `(context, weights)`: c, `(*batch, *queries, D)`, and a, `(*batch, *queries,
        T)`, as `dot_product_attention` returns them.

    Raises:
        TypeError: If an array does not hold floating-point numbers, or `lengths` are
            not integers.
        ValueError: If the shapes do not match.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import additive_attention
        >>> keys = jnp.array([[[0.0], [50.0]]])
        >>> context, weights = additive_attention(
        ...     jnp.zeros((1, 1)), keys, keys, jnp.array([20.0])
        ... )
        >>> weights.round(3)
        Array([[0., 1.]], dtype=float32)

    Source: Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to
    Align and Translate", section A.1.2. Keras' `AdditiveAttention` has a `v` and no
    projections; Flax has no additive attention.
    """
    query, keys, values, v = _checked(query, keys, values, v)
    units = query.shape[-1]
    if keys.shape[-1] != units or v.shape != (units,):
        raise ValueError(
            f"`query` has {units} units (its shape is {query.shape}), `keys` have "
            f"{keys.shape[-1]}, and `v` has shape {v.shape}; wanted equal numbers of "
            "units. Project the query and the keys first, as `nn.AdditiveAttention` "
            "does."
        )
    valid = real_steps(keys, lengths)
    wide = accumulation_dtype(query.dtype)
    keys = _per_query(zero_at_padding(keys, valid), keys.ndim - 2, query.ndim - 1)
    hidden = jnp.tanh(query[..., None, :].astype(wide) + keys.astype(wide))
    return _weighted(hidden @ v.astype(wide), values, valid)


def _weighted(
    e: jax.Array, values: jax.Array, valid: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Return the context and the weights for scores `e (*batch, *queries, T)`."""
    batch_ndim = values.ndim - 2
    real: Any = True if valid is None else _per_query(valid, batch_ndim, e.ndim - 1)
    # The scores at padding are finite, so no NaN arises there, not even in gradients.
    highest = jnp.max(
        e, axis=-1, keepdims=True, initial=jnp.finfo(e.dtype).min, where=real
    )
    e = jnp.exp(jnp.where(real, e - jax.lax.stop_gradient(highest), -jnp.inf))
    total = jnp.sum(e, axis=-1, keepdims=True)
    # The total is at least 1 unless the memory is empty.
    weights = (e / jnp.where(total > 0, total, 1)).astype(values.dtype)
    axes = ((weights.ndim - 1,), (batch_ndim,))
    context = _product(weights, zero_at_padding(values, valid), batch_ndim, axes)
    return context.astype(values.dtype), weights


def _product(
    a: jax.Array, b: jax.Array, batch_ndim: int, axes: Any = None
) -> jax.Array:
    """Return the products of `a` and `b` over their last axes, or over `axes`."""
    axes = axes or ((a.ndim - 1,), (b.ndim - 1,))
    batch = tuple(range(batch_ndim))
    return jax.lax.dot_general(
        a,
        b,
        (axes, (batch, batch)),
        preferred_element_type=accumulation_dtype(a.dtype),
    )


def _per_query(array: jax.Array, batch_ndim: int, ndim: int) -> jax.Array:
    """Insert axes of size 1 after the batch; `ndim` is the number of axes before T."""
    return jnp.expand_dims(array, tuple(range(batch_ndim, ndim)))


def real_steps(memory: jax.Array, lengths: Any) -> jax.Array | None:
    """Return the mask `(*batch, T)` of the real steps of `memory (*batch, T, D)`.

    Example:
        >>> real_steps(jnp.zeros((2, 3, 1)), jnp.array([1, 3]))
        Array([[ True, False, False],
               [ True,  True,  True]], dtype=bool)
    """
    *batch, time, _ = memory.shape
    valid = valid_steps(lengths, time, tuple(batch))
    if valid is None:
        return None
    valid = shard_like(valid, memory, time_first(len(batch), len(batch)))
    return jnp.moveaxis(valid, 0, -1)


def zero_at_padding(array: jax.Array, valid: jax.Array | None) -> jax.Array:
    """Return `array (*batch, T, D)` with zero where `valid (*batch, T)` is false."""
    if valid is None:
        return array
    return jnp.where(valid[..., None], array, jnp.zeros((), array.dtype))


def _checked(query: Any, keys: Any, values: Any, *others: Any) -> tuple[jax.Array, ...]:
    """Return the arrays in their promoted dtype, after checking their first axes."""
    given = dict(query=query, keys=keys, values=values) | dict(
        zip("v", others, strict=False)
    )
    arrays = {name: as_array(array, name) for name, array in given.items()}
    for name, array in arrays.items():
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(
                f"`{name}` has dtype {array.dtype}; wanted floating-point numbers. "
                "Cast it, for example with `.astype(jnp.float32)`."
            )
    query, keys, values = (arrays[name].shape for name in ("query", "keys", "values"))
    if len(keys) < 2 or values[:-1] != keys[:-1] or len(values) != len(keys):
        raise ValueError(
            f"`keys` have shape {keys} and `values` {values}; wanted (*batch, time, "
            "features) for both, with the same batch and time."
        )
    batch = keys[:-2]
    if len(query) <= len(batch) or query[: len(batch)] != batch:
        raise ValueError(
            f"`query` has shape {query}; wanted (*batch, *queries, features), which "
            f"begins with the batch axes {batch} of `keys`, whose shape is {keys}."
        )
    dtype = jnp.result_type(*arrays.values())
    return tuple(array.astype(dtype) for array in arrays.values())
