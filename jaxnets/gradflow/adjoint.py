"""The adjoint of a recurrence, carried as a direction and a logarithm."""

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

    and what is carried backwards is the unit vector of it and, apart, the logarithm of
    its norm. So the result is finite where the gradient itself has long left float32: a
    slope of -1 per step leaves it after about 100 steps.

    What is covered is a loss of the final state. Cotangents that enter on the way
    through the outputs `y_t` are not: their sums have no logarithm of their own. For
    such losses use `measure` with a `tap` on the state.

    Args:
        step: `step(state, x_t) -> (state, y_t)`, the body of a `lax.scan`.
        state: The state before the first step, any pytree of any number of arrays.
            Leaves that are not floating point (counters, random keys) are passed on.
        xs: Inputs with a leading time axis T: a pytree, as for `lax.scan`.
        cotangent: `dL/dstate_T`, a pytree of the structure of `state`.

    Returns:
        `(T,)`, natural logarithms in float32. Entry t belongs to the state *after* step
        t, as a tap in the step would; the last is `log ||cotangent||`. Where the
        gradient is exactly zero it is minus infinity.

    Raises:
        ValueError: If `cotangent` does not have the structure or shapes of `state`,
            `state` holds no floating-point array, or there is no step.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import log_adjoint_norms
        >>> step = lambda h, x: (0.5 * h + x, h)
        >>> h, xs = jnp.zeros(3), jnp.zeros((4, 3))
        >>> log_adjoint_norms(step, h, xs, jnp.array([1.0, 0.0, 0.0])) / jnp.log(0.5)
        Array([ 3.,  2.,  1., -0.], dtype=float32)

    Source: backpropagation through time; the factors are those of Pascanu, Mikolov and
    Bengio 2013, "On the difficulty of training recurrent neural networks", section 2.
    Flax, Keras and PyTorch have no counterpart.
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
    # A sum by halves: a running float32 sum over thousands of steps would drift.
    totals = jax.lax.associative_scan(jnp.add, log_factors, reverse=True)
    return jnp.log(norm) + jnp.append(totals, 0.0)


def check_recurrence(state: Any, xs: Any, cotangent: Any) -> None:
    """Refuse arguments that do not belong together."""
    wanted = jax.tree.map(jnp.shape, state)
    came = jax.tree.map(jnp.shape, cotangent)
    if came != wanted:
        raise ValueError(
            f"`cotangent` has the shapes {came}; wanted those of `state`, {wanted}. "
            "Pass dL/d(final state), for example the result of "
            "`jax.grad(loss)(final_state)`."
        )
    if not split_inexact(state)[0]:
        raise ValueError(
            "`state` holds no floating-point array, so no gradient passes through it; "
            "wanted at least one. Start from `jnp.zeros((batch, hidden))` or the like."
        )
    check_steps(xs)


def check_steps(xs: Any) -> None:
    """Refuse inputs without a time axis, or without a step."""
    if not all(jnp.ndim(x) and jnp.shape(x)[0] for x in jax.tree.leaves(xs)):
        raise ValueError(
            f"`xs` has the shapes {jax.tree.map(jnp.shape, xs)}; wanted a leading time "
            "axis of at least one step. Put time first: (time, batch, features)."
        )
