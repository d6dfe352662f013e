"""The adjoint of a recurrence, split into the direct path and the recurrent rest."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnets.arguments import check_callable
from jaxnets.gradflow.adjoint import check_recurrence, next_state
from jaxnets.gradflow.trees import split_inexact, unit_and_norm, wide_dtype


# The exponent of a zero vector: below all others, and the sum of two fits into int32.
LOWEST = -(2**29)


class AdjointParts(NamedTuple):
    """Logarithms of the norms of `dL/dstate_t` and of its two parts.

    The vectors add up, `dL/dstate_t = direct + recurrent`; their norms do not.

    Attributes:
        total: `(T,)`, log norm of `dL/dstate_t`.
        direct: `(T,)`, log norm of the part that takes the direct path in every step.
        recurrent: `(T,)`, log norm of the rest.
    """

    total: Float[Array, " time"]
    direct: Float[Array, " time"]
    recurrent: Float[Array, " time"]


class _Scaled(NamedTuple):
    """The vector `leaves * 2**exponent`; scaling by a power of two is exact."""

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
    r"""Split `dL/dstate_t` into the direct path and the paths over recurrent weights.

    With the Jacobians `J_t = dstate_t / dstate_{t-1}` of `step` and `D_t` of `direct`,
    and `lambda_T = d_T = dL/dstate_T`, `r_T = 0`,

        lambda_{t-1} = J_t^T lambda_t                     total,
        d_{t-1}      = D_t^T d_t                          direct,
        r_{t-1}      = J_t^T r_t + (J_t - D_t)^T d_t      recurrent,

    so `lambda_t = d_t + r_t`: r is the sum over all paths that leave the direct path at
    least once. In an LSTM `D_t` is the forget gate, `d c_t / d c_{t-1} = f_t` with the
    gates held fixed, so `d_t` is the product of the forget gates times `dL/dc_T`; the
    cotangent that reaches `c_T` through the last output counts as direct. In a GRU
    `D_t` is `z_t`.

    The arrays of the state are independent variables: `dL/dc_t` is the cotangent of
    `c_t` from step t + 1, without that from the output `h_t` of the same step. A `tap`
    on c sees the sum of both, and `f_{t+1}` times the tap's cotangent at t + 1 is
    `dL/dc_t` here.

    Each vector is scaled by its own power of two, so the results are finite and
    accurate even if the gradient itself is far outside the range of float32.

    Args:
        step: `step(state, x_t) -> (state, y_t)`, the body of a `lax.scan`.
        direct: A function with the arguments and results of `step` whose new state has
            only the direct path as its derivative, such as `step` with
            `jax.lax.stop_gradient` on the other paths. Its values are not used.
        state: The state before the first step, a pytree of arrays.
        xs: Inputs with a leading time axis T: a pytree, as for `lax.scan`.
        cotangent: `dL/dstate_T`, a pytree with the structure of `state`.
        select: Returns the part of a state whose adjoint is reported, such as
            `lambda state: state.c`. None reports the whole state.

    Returns:
        `AdjointParts`, natural logarithms of shape `(T,)` in float32. Entry t belongs
        to the state *after* step t. It is minus infinity if a part is exactly zero.

    Raises:
        TypeError: If `step` or `direct` is not a function that returns a pair, `select`
            is not a function, or an argument does not consist of arrays.
        ValueError: If `cotangent`, or the state that `step` or `direct` returns, does
            not have the structure and shapes of `state`, the selection has no
            floating-point array, or `xs` has no step.

    Example:
        In an LSTM all paths but the direct one start at h:

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
        None)`, where the function z computes the update gate.

    Source: Gers, Schmidhuber and Cummins 2000, "Learning to Forget", for the direct
    path; Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent
    neural networks", section 2, for the sum over paths. With peepholes f depends on c:
    stop the gradient there too to exclude that path. Flax, Keras and PyTorch have no
    counterpart.
    """
    check_recurrence(step, state, xs, cotangent)
    check_callable("direct", direct, "a function with the arguments of `step`")
    pick = select or (lambda state: state)
    check_callable("select", pick, "None or a function, such as `lambda s: s.c`")
    if not split_inexact(pick(state))[0]:
        raise ValueError(
            "`select` returns no floating-point array, so there is no adjoint to "
            "report; wanted at least one. Pass for example `lambda state: state.c`."
        )
    first = jax.tree.map(lambda a: a[0], xs)
    jax.eval_shape(lambda s, x: next_state(direct, s, x, "direct"), state, first)

    def forward(state, x_t):
        return next_state(step, state, x_t), (state, x_t)

    def backward(carry, saved):
        lambda_t, d_t, r_t = carry
        before, x_t = saved
        pull = _pullback(step, before, x_t, "step")
        pull_direct = _pullback(direct, before, x_t, "direct")
        all_paths, direct_path = pull(d_t), pull_direct(d_t)
        leaving = _Scaled(
            [a - b for a, b in zip(all_paths.leaves, direct_path.leaves, strict=True)],
            d_t.exponent,
        )
        carry = (
            _normalised(pull(lambda_t)),
            _normalised(direct_path),
            _sum(pull(r_t), leaving),
        )
        return carry, log_norms(carry)

    def log_norms(vectors):
        return AdjointParts(*(_log_norm(v, pick, rebuild) for v in vectors))

    leaves, rebuild = split_inexact(cotangent)
    wide = wide_dtype(*leaves)
    leaves = [jnp.asarray(leaf).astype(wide) for leaf in leaves]
    last = _normalised(_Scaled(leaves, jnp.int32(0)))
    zero = _normalised(_Scaled([0 * leaf for leaf in leaves], jnp.int32(0)))
    start = (last, last, zero)

    _, saved = jax.lax.scan(forward, state, xs)
    later = jax.tree.map(lambda a: a[1:], saved)
    _, earlier = jax.lax.scan(backward, start, later, reverse=True)
    return jax.tree.map(jnp.append, earlier, log_norms(start))


def _pullback(
    fun: Callable[[Any, Any], tuple[Any, Any]], before: Any, x_t: Any, name: str
) -> Callable[[_Scaled], _Scaled]:
    """Return the function that maps the state's cotangent to that before the step."""
    leaves, rebuild = split_inexact(before)
    outputs, pull = jax.vjp(
        lambda leaves: split_inexact(next_state(fun, rebuild(leaves), x_t, name))[0],
        leaves,
    )

    def apply(vector: _Scaled) -> _Scaled:
        narrow = [
            v.astype(out.dtype) for v, out in zip(vector.leaves, outputs, strict=True)
        ]
        wide = vector.leaves[0].dtype
        return _Scaled([v.astype(wide) for v in pull(narrow)[0]], vector.exponent)

    return apply


def _normalised(vector: _Scaled) -> _Scaled:
    """Scale the largest entry to magnitude 1/2 to 1, and adapt the exponent."""
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
    return _normalised(_Scaled(leaves, exponent))


def _log_norm(
    vector: _Scaled,
    pick: Callable[[Any], Any],
    rebuild: Callable[[list[Any]], Any],
) -> Float[Array, ""]:
    picked = split_inexact(pick(rebuild(vector.leaves)))[0]
    log_scale = vector.exponent.astype(jnp.float32) * jnp.log(2.0)
    return jnp.log(unit_and_norm(picked)[1]).astype(jnp.float32) + log_scale
