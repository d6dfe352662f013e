"""Singular values of a Jacobian and Lyapunov exponents of a recurrence."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxnets.gradflow.adjoint import check_steps
from jaxnets.gradflow.trees import split_inexact, wide_dtype


def jacobian_spectrum(
    fun: Callable[[Any], Any],
    x: Any,
    *,
    rank: int,
    key: Array,
    iterations: int = 8,
) -> Float[Array, " rank"]:
    """Return the `rank` largest singular values of the Jacobian of `fun` at `x`.

    With `J = dfun/dx` of shape (M, N), J is never formed. A random block `Y = J G` of
    `rank` columns grows into the block Krylov space `[Y, (J J^T) Y, (J J^T)^2 Y, ...]`
    with orthonormal basis Q, and the result are the singular values of `Q^T J`: lower
    bounds that converge to those of J, the largest first. It costs
    `(2 * iterations + 1) * rank` products with J or its transpose, and is exact when
    `(iterations + 1) * rank >= min(M, N)`.

    Args:
        fun: Differentiable function from a pytree to a pytree, for example one layer,
            or `lambda h: step(h, x_t)[0]`.
        x: Where to differentiate. Leaves that are not floating point stay fixed.
        rank: How many singular values, at least 1 and at most `min(M, N)`.
        key: Random key of the first block.
        iterations: How many times the block is multiplied with `J J^T`.

    Returns:
        `(rank,)` singular values, descending, in float32 or wider.

    Raises:
        ValueError: If `rank` is not between 1 and `min(M, N)`, or `iterations` < 0.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import jacobian_spectrum
        >>> w = jnp.diag(jnp.array([3.0, 2.0, 1.0]))
        >>> values = jacobian_spectrum(
        ...     lambda x: w @ x, jnp.ones(3), rank=2, key=jax.random.key(0)
        ... )
        >>> jnp.round(values, 4)
        Array([3., 2.], dtype=float32)

    Source: Musco and Musco 2015, "Randomized Block Krylov Methods for Stronger and
    Faster Approximate Singular Value Decomposition", algorithm 2.
    """
    flat, apply = _flat_function(fun, x)
    outputs, push = jax.linearize(apply, flat)
    limit = min(flat.size, outputs.size)
    if not 1 <= rank <= limit:
        raise ValueError(
            f"`rank` is {rank}; wanted 1 to {limit}, because the Jacobian is "
            f"{outputs.size} x {flat.size}. Ask for fewer singular values."
        )
    if iterations < 0:
        raise ValueError(f"`iterations` is {iterations}; wanted 0 or more. Try 8.")
    pull = jax.linear_transpose(push, flat)
    times_j = jax.vmap(push, in_axes=1, out_axes=1)
    times_j_transposed = jax.vmap(lambda u: pull(u)[0], in_axes=1, out_axes=1)
    block = times_j(jax.random.normal(key, (flat.size, rank), flat.dtype))

    def grow(block, _):
        # Orthonormal in between too: J J^T squares what may be far from 1.
        back = jnp.linalg.qr(times_j_transposed(block))[0]
        return jnp.linalg.qr(times_j(back))[0], block

    last, blocks = jax.lax.scan(grow, jnp.linalg.qr(block)[0], length=iterations)
    basis = jnp.linalg.qr(jnp.concatenate([*blocks, last], axis=1))[0]
    return jnp.linalg.svd(times_j_transposed(basis), compute_uv=False)[:rank]


def lyapunov_spectrum(
    step: Callable[[Any, Any], tuple[Any, Any]], state: Any, xs: Any, *, count: int
) -> Float[Array, " count"]:
    """Return the `count` largest Lyapunov exponents of a recurrence, in nats a step.

    `count` orthonormal directions travel with the state; after each step they are made
    orthonormal again by a QR decomposition, `J_t Q_{t-1} = Q_t R_t`, and

        lambda_i = 1/T sum_t log |R_t[i, i]|.

    A small difference in the state grows as `exp(lambda_1 t)`, and so does a gradient
    on its way back: below 0 it vanishes, above 0 the recurrence is chaotic and its
    gradients explode.

    Args:
        step: `step(state, x_t) -> (state, y_t)`, the body of a `lax.scan`.
        state: Where to start; any pytree. The average includes the transient, of which
            a start from a state that has run for a while is free.
        xs: Inputs with a leading time axis T >= 1.
        count: How many exponents, at least 1 and at most the size of the state.

    Returns:
        `(count,)` exponents, descending once T is large; minus infinity for a direction
        that some step maps to exactly zero. The start directions are fixed random ones.

    Raises:
        ValueError: If `count` is not between 1 and the size of the state, or there is
            no step.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import lyapunov_spectrum
        >>> rates = jnp.exp(jnp.array([0.1, -0.5]))
        >>> step = lambda h, x: (rates * h + x, None)
        >>> h, xs = jnp.zeros(2), jnp.zeros((500, 2))
        >>> [round(float(e), 2) for e in lyapunov_spectrum(step, h, xs, count=2)]
        [0.1, -0.5]

    Source: Benettin et al. 1980, "Lyapunov Characteristic Exponents for smooth
    dynamical systems", for the method; Vogt et al. 2020, "On Lyapunov Exponents for
    RNNs", for recurrent networks.
    """
    size = sum(jnp.size(leaf) for leaf in split_inexact(state)[0])
    if not 1 <= count <= size:
        raise ValueError(
            f"`count` is {count}; wanted 1 to {size}, the number of floating-point "
            "values in `state`. Ask for fewer exponents."
        )

    check_steps(xs)

    def body(carry, x_t):
        state, directions = carry
        flat, apply = _flat_function(lambda s: step(s, x_t)[0], state)
        _, push = jax.linearize(apply, flat)
        directions, stretch = jnp.linalg.qr(jax.vmap(push, 1, 1)(directions))
        logs = jnp.log(jnp.abs(jnp.diagonal(stretch)))
        return (step(state, x_t)[0], directions), logs

    dtype = _flat_function(lambda s: s, state)[0].dtype
    start = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (size, count), dtype))[0]
    _, logs = jax.lax.scan(body, (state, start), xs)
    return jnp.mean(logs, axis=0)


def _flat_function(
    fun: Callable[[Any], Any], x: Any
) -> tuple[Array, Callable[[Array], Array]]:
    """Return `x` as one vector, and `fun` between vectors, in float32 or wider."""
    leaves, rebuild = split_inexact(x)
    flat, unravel = ravel_pytree(_widened(leaves))

    def apply(vector: Array) -> Array:
        narrow = [
            a.astype(jnp.result_type(leaf))
            for a, leaf in zip(unravel(vector), leaves, strict=True)
        ]
        outputs = split_inexact(fun(rebuild(narrow)))[0]
        return ravel_pytree(_widened(outputs))[0]

    return flat, apply


def _widened(leaves: list[Any]) -> list[Array]:
    """Decompositions need one dtype, at least float32."""
    dtype = wide_dtype(*leaves)
    return [jnp.asarray(leaf).astype(dtype) for leaf in leaves]
