"""The adjoint of a recurrence, computed as a unit vector and a logarithm."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.arguments import check_callable
from jaxnets.gradflow.trees import (
    check_arrays,
    leading_size,
    split_inexact,
    unit_and_norm,
)


STEP = "a function `step(state, x_t) -> (state, y_t)`, the body of a `lax.scan`"


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
        TypeError: If `step` is not a function that returns a pair, or an argument does
            not consist of arrays.
        ValueError: If `cotangent`, or the state that `step` returns, does not have the
            structure and shapes of `state`, `state` has no floating-point array, or
            `xs` has no step.

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
    check_recurrence(step, state, xs, cotangent)

    def forward(state, x_t):
        return next_state(step, state, x_t), (state, x_t)

    def backward(unit, saved):
        before, x_t = saved
        leaves, rebuild = split_inexact(before)

        def next_leaves(leaves):
            return split_inexact(next_state(step, rebuild(leaves), x_t))[0]

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


def check_recurrence(step: Any, state: Any, xs: Any, cotangent: Any) -> None:
    """Raise an error unless the arguments fit each other."""
    check_callable("step", step, STEP)
    check_arrays("state", state)
    check_arrays("cotangent", cotangent)
    wanted = jax.tree.map(jnp.shape, state)
    came = jax.tree.map(jnp.shape, cotangent)
    if came != wanted:
        raise ValueError(
            f"`cotangent` has the shapes {came}; wanted those of `state`, {wanted}. "
            "Pass dL/d(final state), such as `jax.grad(loss)(final_state)`."
        )
    leaves = split_inexact(state)[0]
    if len(split_inexact(cotangent)[0]) < len(leaves):
        came, wanted = (jax.tree.map(jnp.result_type, t) for t in (cotangent, state))
        raise TypeError(
            f"`cotangent` has the dtypes {came}; wanted floating point where `state` "
            f"has it: {wanted}. Convert it with `.astype(jnp.float32)`."
        )
    if not leaves:
        raise ValueError(
            "`state` has no floating-point array, so no gradient passes through it; "
            "wanted at least one, such as `jnp.zeros((batch, hidden))`."
        )
    check_steps(xs)


def next_state(step: Any, state: Any, x_t: Any, name: str = "step") -> Any:
    """Return the state after a step; raise an error unless it is like `state`.

    Args:
        step: The user's function of a state and an input.
        state: The state before the step.
        x_t: The input.
        name: The name of the argument that `step` is.
    """
    result = step(state, x_t)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TypeError(
            f"`{name}` returned a value of type {type(result).__name__}; wanted the "
            "pair `(state, y_t)`, as the body of `lax.scan` returns it. y_t may be "
            "None."
        )
    after = result[0]
    came, wanted = (jax.tree.map(jnp.shape, each) for each in (after, state))
    if came != wanted:
        raise ValueError(
            f"`{name}` returns a state of the shapes {came}; wanted those of `state`, "
            f"{wanted}. Return `(state, y_t)`; y_t may be None."
        )
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        # A Python number has no dtype of its own: JAX uses the dtype of the step.
        given, got = map(jnp.result_type, (old, new))
        if given != got and not getattr(old, "weak_type", False):
            raise TypeError(
                f"`{name}` returns a state with an array of dtype {got}; wanted "
                f"{given}, as in `state`. Convert it with `.astype`."
            )
    return after


def check_steps(xs: Any) -> None:
    """Raise an error unless `xs` has a time axis of at least one step."""
    check_arrays("xs", xs)
    if leading_size(xs) is None:
        raise ValueError(
            f"`xs` has the shapes {jax.tree.map(jnp.shape, xs)}; wanted one or several "
            "arrays with the same leading time axis of at least one step. Put time "
            "first: (time, batch, features)."
        )
