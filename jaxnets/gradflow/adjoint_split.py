"""The adjoint of a recurrence, split into its direct path and the rest."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnets.gradflow.adjoint import check_recurrence
from jaxnets.gradflow.trees import split_inexact, unit_and_norm, wide_dtype


# The exponent of a vector of zeros: below every other, and no sum of two overflows.
LOWEST = -(2**29)


class AdjointParts(NamedTuple):
    """Logarithms of the norms of an adjoint and of its two parts.

    The vectors add up, `dL/dstate_t = direct + recurrent`; their norms do not.

    Attributes:
        total: `(T,)`, of the whole of `dL/dstate_t`.
        direct: `(T,)`, of what arrives over the direct path of every step.
        recurrent: `(T,)`, of the rest.
    """

    total: Float[Array, " time"]
    direct: Float[Array, " time"]
    recurrent: Float[Array, " time"]


class _Scaled(NamedTuple):
    """The vector `leaves * 2**exponent`; powers of two lose nothing to rounding."""

    leaves: list[Array]
    exponent: Int[Array, ""]


def adjoint_parts(
    step: Callable[[Any, Any], tuple[Any, Any]],
    direct: Callable[[Any, Any], tuple[Any, Any]],
    state: Any,
    xs: Any,
    cotangent: Any,
    *,
    select: Callable[[Any], Any] | None = None,
) -> AdjointParts:
    r"""Split `dL/dstate_t` into the direct path and the way through recurrent weights.

    With the Jacobians `J_t = dstate_t / dstate_{t-1}` of `step` and `D_t` of `direct`,
    and `lambda_T = d_T = dL/dstate_T`, `r_T = 0`,

        lambda_{t-1} = J_t^T lambda_t                     the whole,
        d_{t-1}      = D_t^T d_t                          the direct path alone,
        r_{t-1}      = J_t^T r_t + (J_t - D_t)^T d_t      the rest,

    so `lambda_t = d_t + r_t`: r holds every path that leaves the direct one at least
    once. In an LSTM `D_t` is the forget gate, `d c_t / d c_{t-1} = f_t` with the gates
    held fixed, so `d_t` is the product of the forget gates times `dL/dc_T`, where what
    reaches `c_T` through the last output counts as direct. In a GRU it is `z_t`.

    Each array of the state is a variable of its own: `dL/dc_t` is what comes back to
    `c_t` from step t + 1, without what comes from the output `h_t` of the same step.
    A `tap` on c sees both, and `f_{t+1}` times what it sees at t + 1 is `dL/dc_t` here.

    The scale of each vector is an integer power of two apart from it, so the results
    are finite and right where the gradient itself has long left float32.

    Args:
        step: `step(state, x_t) -> (state, y_t)`, the body of a `lax.scan`.
        direct: The same for the direct path: a function of the shape of `step` of which
            only the derivative of the new state counts. `jax.lax.stop_gradient` takes
            the other paths out.
        state: The state before the first step, any pytree of any number of arrays.
        xs: Inputs with a leading time axis T: a pytree, as for `lax.scan`.
        cotangent: `dL/dstate_T`, a pytree of the structure of `state`.
        select: Picks the part of a state whose adjoint is reported, such as
            `lambda state: state.c`. None takes all of it.

    Returns:
        `AdjointParts`, natural logarithms of shape `(T,)` in float32. Entry t belongs
        to the state *after* step t. Minus infinity where a part is exactly zero.

    Raises:
        ValueError: If `cotangent` or what `direct` returns does not have the structure
            or shapes of `state`, there is no floating-point array in what is selected,
            or there is no step.

    Example:
        An LSTM, whose other paths all start at h:

        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import LSTMState, init_lstm, lstm_step
        >>> from jaxnets.gradflow import adjoint_parts
        >>> params = init_lstm(jax.random.key(0), 2, 3, forget_bias=4.0)
        >>> step = lambda state, x_t: lstm_step(params, state, x_t)
        >>> def direct(state, x_t):
        ...     return step(state._replace(h=jax.lax.stop_gradient(state.h)), x_t)
        >>> state = LSTMState(h=jnp.zeros(3), c=jnp.zeros(3))
        >>> cotangent = LSTMState(h=jnp.zeros(3), c=jnp.ones(3))
        >>> xs = jnp.zeros((100, 2))
        >>> parts = adjoint_parts(
        ...     step, direct, state, xs, cotangent, select=lambda state: state.c
        ... )
        >>> round(float(parts.direct[0] - parts.direct[-1]) / 99, 3)  # log sigmoid(4)
        -0.018

        For a GRU `direct` is `lambda h, x_t: (jax.lax.stop_gradient(z(h, x_t)) * h,
        None)`, with z the gate as a function of both.

    Source: Gers, Schmidhuber and Cummins 2000, "Learning to Forget", for the direct
    path; the split of the sum over paths is that of Pascanu, Mikolov and Bengio 2013,
    section 2. With peepholes f depends on c: stop that path too if it shall not count.
    Flax, Keras and PyTorch have no counterpart.
    """
    check_recurrence(state, xs, cotangent)
    pick = select or (lambda state: state)
    _check(direct, pick, state, xs)

    def forward(state, x_t):
        return step(state, x_t)[0], (state, x_t)

    def backward(carry, saved):
        total, straight, rest = carry
        before, x_t = saved
        whole, bare = (_pullback(fun, before, x_t) for fun in (step, direct))
        along, bypassed = whole(straight), bare(straight)
        turned = _Scaled(
            [a - b for a, b in zip(along.leaves, bypassed.leaves, strict=True)],
            straight.exponent,
        )
        carry = (
            _normalized(whole(total)),
            _normalized(bypassed),
            _sum(whole(rest), turned),
        )
        return carry, logs(carry)

    def logs(vectors):
        return AdjointParts(*(_log_norm(v, pick, rebuild) for v in vectors))

    leaves, rebuild = split_inexact(cotangent)
    wide = wide_dtype(*leaves)
    leaves = [jnp.asarray(leaf).astype(wide) for leaf in leaves]
    last = _normalized(_Scaled(leaves, jnp.int32(0)))
    nothing = _normalized(_Scaled([0 * leaf for leaf in leaves], jnp.int32(0)))
    start = (last, last, nothing)

    _, saved = jax.lax.scan(forward, state, xs)
    later = jax.tree.map(lambda a: a[1:], saved)
    _, earlier = jax.lax.scan(backward, start, later, reverse=True)
    return jax.tree.map(jnp.append, earlier, logs(start))


def _pullback(
    fun: Callable[[Any, Any], tuple[Any, Any]], before: Any, x_t: Any
) -> Callable[[_Scaled], _Scaled]:
    """Return what takes a cotangent of the state after a step to the one before."""
    leaves, rebuild = split_inexact(before)
    outputs, pull = jax.vjp(
        lambda leaves: split_inexact(fun(rebuild(leaves), x_t)[0])[0], leaves
    )

    def apply(vector: _Scaled) -> _Scaled:
        narrow = [
            v.astype(out.dtype) for v, out in zip(vector.leaves, outputs, strict=True)
        ]
        wide = vector.leaves[0].dtype
        return _Scaled([v.astype(wide) for v in pull(narrow)[0]], vector.exponent)

    return apply


def _normalized(vector: _Scaled) -> _Scaled:
    """Move the power of two of the largest entry into the exponent."""
    peak = jnp.max(jnp.stack([jnp.max(jnp.abs(v), initial=0) for v in vector.leaves]))
    shift = jnp.clip(jnp.frexp(peak)[1], -126, 126)
    exponent = jnp.where(peak == 0, LOWEST, vector.exponent + shift)
    return _Scaled([jnp.ldexp(v, -shift) for v in vector.leaves], exponent)


def _sum(a: _Scaled, b: _Scaled) -> _Scaled:
    exponent = jnp.maximum(a.exponent, b.exponent)
    leaves = [
        jnp.ldexp(x, a.exponent - exponent) + jnp.ldexp(y, b.exponent - exponent)
        for x, y in zip(a.leaves, b.leaves, strict=True)
    ]
    return _normalized(_Scaled(leaves, exponent))


def _log_norm(
    vector: _Scaled,
    pick: Callable[[Any], Any],
    rebuild: Callable[[list[Any]], Any],
) -> Float[Array, ""]:
    picked = split_inexact(pick(rebuild(vector.leaves)))[0]
    log_scale = vector.exponent.astype(jnp.float32) * jnp.log(2.0)
    return jnp.log(unit_and_norm(picked)[1]).astype(jnp.float32) + log_scale


def _check(
    direct: Callable[[Any, Any], tuple[Any, Any]],
    pick: Callable[[Any], Any],
    state: Any,
    xs: Any,
) -> None:
    """Refuse a `direct` of another shape than the step's, and an empty selection."""
    first = jax.tree.map(lambda a: a[0], xs)
    wanted = jax.tree.map(jnp.shape, state)
    came = jax.tree.map(jnp.shape, jax.eval_shape(direct, state, first)[0])
    if came != wanted:
        raise ValueError(
            f"`direct` returns a state of the shapes {came}; wanted those of `state`, "
            f"{wanted}. Return `(state, y_t)` as `step` does; y_t may be None."
        )
    if not split_inexact(pick(state))[0]:
        raise ValueError(
            "`select` picks no floating-point array, so there is no adjoint to report; "
            "wanted at least one. Pass for example `lambda state: state.c`."
        )
