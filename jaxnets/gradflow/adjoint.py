"""The adjoint of a recurrence, computed as a unit vector and a logarithm."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.gradflow.trees import split_inexact, unit_and_norm


def log_adjoint_norms(
    step: Callable[[Any, Any], tuple[Any, Any]], state: Any, xs: Any, cotangent: Any
) -> Float[Array, " time"]:
    r"""Return the logarithm of `||dL/dstate_t||` at every step of a recurrence.

    With `state_t, y_t = step(state_{t-1}, x_t)` and the cotangent `dL/dstate_T`,

        dL/dstate_{t-1} = (dstate_t / dstate_{t-1})^T dL/dstate_t,

    the backward pass carries the cotangent as a unit vector and the logarithm of its
    norm. So the result is finite even if the gradient itself is far outside the range
    of float32: at a slope of -1 per step it underflows after about 100 steps.

    The loss is a function of the final state only. For losses of the outputs `y_t`,
    whose cotangents enter at every step, use `measure` with a `tap` on the state.

    Args:
        step: `step(state, x_t) -> (state, y_t)`, the body of a `lax.scan`.
        state: The state before the first step, a pytree of arrays. Leaves that are not
            floating point (counters, random keys) are not differentiated.
        xs: Inputs with a leading time axis T: a pytree, as for `lax.scan`.
        cotangent: `dL/dstate_T`, a pytree with the structure of `state`.

    Returns:
        `(T,)`, natural logarithms in float32. Entry t belongs to the state *after* step
        t, as for a tap in the step; the last is `log ||cotangent||`. The logarithm is
        minus infinity if the gradient is exactly zero.

    Raises:
        ValueError: If `cotangent` does not have the structure and shapes of `state`,
            `state` has no floating-point array, or `xs` has no step.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import log_adjoint_norms
        >>> step = lambda h, x: (0.5 * h + x, h)
        >>> h, xs = jnp.zeros(3), jnp.zeros((4, 3))
        >>> log_adjoint_norms(step, h, xs, jnp.array([1.0, 0.0, 0.0])) / jnp.log(0.5)
        Array([ 3.,  2.,  1., -0.], dtype=float32)

    Source: backpropagation through time; Pascanu, Mikolov and Bengio 2013, "On the
    difficulty of training recurrent neural networks", section 2, for the product of
    Jacobians. Flax, Keras and PyTorch have no counterpart.
    """
    check_recurrence(state, xs, cotangent)

    def forward(state, x_t):
        return step(state, x_t)[0], (state, x_t)

    def backward(unit, saved):
        before, x_t = saved
        leaves, rebuild = split_inexact(before)

        def next_leaves(leaves):
            return split_inexact(step(rebuild(leaves), x_t)[0])[0]

        _, pullback = jax.vjp(next_leaves, leaves)
        unit, norm = unit_and_norm(pullback(unit)[0])
        return unit, jnp.log(norm)

    _, saved = jax.lax.scan(forward, state, xs)
    unit, norm = unit_and_norm(split_inexact(cotangent)[0])
    later = jax.tree.map(lambda a: a[1:], saved)
    _, log_factors = jax.lax.scan(backward, unit, later, reverse=True)
    # A pairwise sum: a running float32 sum over thousands of steps would drift.
    totals = jax.lax.associative_scan(jnp.add, log_factors, reverse=True)
    return jnp.log(norm) + jnp.append(totals, 0.0)


def check_recurrence(state: Any, xs: Any, cotangent: Any) -> None:
    """Raise a ValueError unless the arguments fit each other."""
    wanted = jax.tree.map(jnp.shape, state)
    came = jax.tree.map(jnp.shape, cotangent)
    if came != wanted:
        raise ValueError(
            f"`cotangent` has the shapes {came}; wanted those of `state`, {wanted}. "
            "Pass dL/d(final state), such as `jax.grad(loss)(final_state)`."
        )
    if not split_inexact(state)[0]:
        raise ValueError(
            "`state` has no floating-point array, so no gradient passes through it; "
            "wanted at least one, such as `jnp.zeros((batch, hidden))`."
        )
    check_steps(xs)


def check_steps(xs: Any) -> None:
    """Raise a ValueError unless `xs` has a time axis of at least one step."""
    if not all(jnp.ndim(x) and jnp.shape(x)[0] for x in jax.tree.leaves(xs)):
        raise ValueError(
            f"`xs` has the shapes {jax.tree.map(jnp.shape, xs)}; wanted a leading time "
            "axis of at least one step. Put time first: (time, batch, features)."
        )
