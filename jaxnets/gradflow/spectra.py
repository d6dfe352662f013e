"""Singular values of a Jacobian and Lyapunov exponents of a recurrence."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxnets.arguments import as_count, check_callable, check_key
from jaxnets.gradflow.adjoint import STEP, check_steps, next_state
from jaxnets.gradflow.trees import check_arrays, split_inexact, wide_dtype


def jacobian_spectrum(
    fun: Callable[[Any], Any],
    x: Any,
    *,
    rank: int,
    key: Array,
    iterations: int = 8,
) -> Float[Array, " rank"]:
    """Return the `rank` largest singular values of the Jacobian of `fun` at `x`.

    The Jacobian `J = dfun/dx` of shape (M, N) is never formed. A random block
    `Y = J G` of `rank` columns spans the block Krylov space
    `[Y, (J J^T) Y, (J J^T)^2 Y, ...]` with orthonormal basis Q. The results are the
    singular values of `Q^T J`: lower bounds of those of J, which converge, the largest
    first. The cost is `(3 * iterations + 2) * rank` products with J or its
    transpose. The results are exact if `(iterations + 1) * rank >= min(M, N)`.

    Args:
        fun: Differentiable function from a pytree to a pytree, for example one layer,
            or `lambda h: step(h, x_t)[0]`.
        x: Where to differentiate. Leaves that are not floating point stay fixed.
        rank: Number of singular values, 1 to `min(M, N)`.
        key: Random key of the first block.
        iterations: Number of multiplications of the block by `J J^T`.

    Returns:
        `(rank,)` singular values in descending order, in float32 or float64.

    Raises:
        TypeError: If `fun` is not a function, `x` or its result does not consist of
            arrays, `key` is not a key, or `rank` or `iterations` not an int.
        ValueError: If `rank` is not between 1 and `min(M, N)`, `iterations` < 0, or
            `x` or the result has no floating-point values.

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
    check_callable("fun", fun, "a differentiable function of `x`")
    check_arrays("x", x)
    check_key(key)
    iterations = as_count(iterations, "iterations", minimum=0)
    flat, apply = _flat_function(fun, x)
    outputs, push = jax.linearize(apply, flat)
    for name, values in (("x", flat), ("fun(x)", outputs)):
        if not values.size:
            raise ValueError(
                f"`{name}` has no floating-point values; wanted at least one, since "
                "other values have no derivative."
            )
    limit = min(flat.size, outputs.size)
    why = f"the Jacobian is {outputs.size} x {flat.size}"
    rank = as_count(rank, "rank", maximum=limit, meaning=why)
    pull = jax.linear_transpose(push, flat)
    times_j = jax.vmap(push, in_axes=1, out_axes=1)
    times_j_transposed = jax.vmap(lambda u: pull(u)[0], in_axes=1, out_axes=1)
    block = times_j(jax.random.normal(key, (flat.size, rank), flat.dtype))

    def grow(block, _):
        # Orthonormalised after each factor: J J^T squares the singular values.
        back = jnp.linalg.qr(times_j_transposed(block))[0]
        return jnp.linalg.qr(times_j(back))[0], block

    last, blocks = jax.lax.scan(grow, jnp.linalg.qr(block)[0], length=iterations)
    basis = jnp.linalg.qr(jnp.concatenate([*blocks, last], axis=1))[0]
    return jnp.linalg.svd(times_j_transposed(basis), compute_uv=False)[:rank]


def lyapunov_spectrum(
    step: Callable[[Any, Any], tuple[Any, Any]], state: Any, xs: Any, *, count: int
) -> Float[Array, " count"]:
    """Return the `count` largest Lyapunov exponents of a recurrence, in nats per step.

    The Jacobian `J_t` of each step maps `count` orthonormal directions, and a QR
    decomposition makes the results orthonormal again, `J_t Q_{t-1} = Q_t R_t`. Then

        lambda_i = 1/T sum_t log |R_t[i, i]|.

    A small difference in the state grows as `exp(lambda_1 t)`, and so does a gradient
    in the backward pass. Below 0 gradients vanish; above 0 the recurrence is chaotic
    and gradients explode.

    Args:
        step: `step(state, x_t) -> (state, y_t)`, the body of a `lax.scan`.
        state: The initial state, any pytree. The average includes the transient; to
            exclude it, start from a state that the recurrence has reached.
        xs: Inputs with a leading time axis T >= 1.
        count: Number of exponents, 1 to the size of the state.

    Returns:
        `(count,)` exponents, in descending order for large T; minus infinity for a
        direction that a step maps to exactly zero. The initial directions are random
        but always the same.

    Raises:
        TypeError: If `step` is not a function that returns a pair, `count` is not an
            int, or `state` or `xs` does not consist of arrays.
        ValueError: If `count` is not between 1 and the size of the state, the state
            that `step` returns has other shapes, or `xs` has no step.

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
    check_callable("step", step, STEP)
    check_arrays("state", state)
    size = sum(jnp.size(leaf) for leaf in split_inexact(state)[0])
    why = "`state` has this number of floating-point values"
    count = as_count(count, "count", maximum=size, meaning=why)
    check_steps(xs)

    def body(carry, x_t):
        state, directions = carry
        flat, apply = _flat_function(lambda s: next_state(step, s, x_t), state)
        _, push = jax.linearize(apply, flat)
        directions, r = jnp.linalg.qr(jax.vmap(push, 1, 1)(directions))
        logs = jnp.log(jnp.abs(jnp.diagonal(r)))
        return (step(state, x_t)[0], directions), logs

    dtype = _flat_function(lambda s: s, state)[0].dtype
    start = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (size, count), dtype))[0]
    _, logs = jax.lax.scan(body, (state, start), xs)
    return jnp.mean(logs, axis=0)


def _flat_function(
    fun: Callable[[Any], Any], x: Any
) -> tuple[Array, Callable[[Array], Array]]:
    """Return `x` as a vector, and `fun` as a function of vectors, at least float32."""
    leaves, rebuild = split_inexact(x)
    flat, unravel = ravel_pytree(_widened(leaves))

    def apply(vector: Array) -> Array:
        narrow = [
            a.astype(jnp.result_type(leaf))
            for a, leaf in zip(unravel(vector), leaves, strict=True)
        ]
        found = fun(rebuild(narrow))
        check_arrays("fun(x)", found)
        outputs = split_inexact(found)[0]
        return ravel_pytree(_widened(outputs))[0]

    return flat, apply


def _widened(leaves: list[Any]) -> list[Array]:
    """Cast to one dtype of at least float32, as decompositions need it."""
    dtype = wide_dtype(*leaves)
    return [jnp.asarray(leaf).astype(dtype) for leaf in leaves]


def sharpness(
    loss: Callable[..., Any], params: Any, *args: Any, iterations: int = 30
) -> Float[Array, ""]:
    """Return the largest eigenvalue of the Hessian of a loss, by power iteration.

    With H the Hessian with respect to all floating-point parameters,

        v <- H v / ||H v||,    lambda = v^T H v.

    One step of gradient descent with the learning rate eta multiplies a small
    deviation along that eigenvector by `1 - eta lambda`, so that it grows if
    `eta lambda > 2`. If the eigenvalue of the largest size is negative, a second
    iteration with `H - lambda I` finds the largest one. Each iteration costs about two
    gradients, and as much memory.

    Args:
        loss: `loss(params, *args)` returns a scalar, and can be differentiated twice.
        params: A pytree of arrays.
        *args: Further arguments of the loss.
        iterations: How often H is applied. Each iteration multiplies the error by the
            squared ratio of the second eigenvalue to the first.

    Returns:
        The eigenvalue, a lower bound of it if the iterations are too few.

    Raises:
        TypeError: If `loss` is not a function, or `params` does not consist of arrays.
        ValueError: If `iterations` is below 1, or `params` has no floating-point
            array.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import sharpness
        >>> loss = lambda x: 0.5 * (3.0 * x[0] ** 2 - 7.0 * x[1] ** 2)
        >>> round(float(sharpness(loss, jnp.array([1.0, 2.0]))), 3)
        3.0

    Source: Cohen, Kaur, Li, Kolter and Talwalkar 2021, "Gradient Descent on Neural
    Networks Typically Occurs at the Edge of Stability", section 2.
    """
    check_callable("loss", loss, "a function `loss(params, *args)`")
    check_arrays("params", params)
    iterations = as_count(iterations, "iterations")
    leaves, rebuild = split_inexact(params)
    if not leaves:
        raise ValueError(
            "`params` has no floating-point array; wanted the parameters that the loss "
            "is differentiated with respect to."
        )
    moved_loss = lambda moved: loss(rebuild(moved), *args)
    start = [
        jax.random.normal(jax.random.key(n), jnp.shape(leaf), jnp.result_type(leaf))
        for n, leaf in enumerate(leaves)
    ]

    def largest(shift: Array) -> Array:
        """Return the eigenvalue of the largest size of `H - shift I`, plus shift."""
        step = lambda vector, _: power_step(moved_loss, leaves, vector, shift)
        return jax.lax.scan(step, start, length=iterations)[1][-1]

    zero = jnp.zeros((), wide_dtype(*leaves))
    first = largest(zero)
    return jax.lax.cond(first < 0, largest, lambda value: value, first)


def power_step(
    loss: Callable[[list[Array]], Any],
    leaves: list[Array],
    vector: list[Array],
    shift: Array | float,
) -> tuple[list[Array], Array]:
    """Apply `H - shift I` once, where H is the Hessian of a loss.

    Args:
        loss: A function of a list of floating-point arrays.
        leaves: Where the Hessian is taken.
        vector: Arrays of the same shapes, of any length.
        shift: A number.

    Returns:
        The product `(H - shift I) v` with v the unit vector, and `v^T H v`, which is at
        most the largest eigenvalue of H.
    """
    vector = _unit_vector(vector)
    image = jax.jvp(jax.grad(loss), (leaves,), (vector,))[1]
    shifted = [
        (h - shift * v).astype(v.dtype) for h, v in zip(image, vector, strict=True)
    ]
    return shifted, _dot(vector, image)


def _dot(left: list[Array], right: list[Array]) -> Array:
    wide = wide_dtype(*left)
    parts = [
        jnp.sum(a.astype(wide) * b.astype(wide))
        for a, b in zip(left, right, strict=True)
    ]
    return jnp.stack(parts).sum()


def _unit_vector(vector: list[Array]) -> list[Array]:
    norm = jnp.sqrt(_dot(vector, vector))
    return [(v / jnp.where(norm == 0, 1, norm)).astype(v.dtype) for v in vector]
