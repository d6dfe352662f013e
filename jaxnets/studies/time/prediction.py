"""The slope over time that theory predicts for the gradients of the study of time."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import functional as F
from jaxnets.gradflow import theory
from jaxnets.studies.time.gates import gru_gates, lstm_gates


# The gates are averaged over this many sequences; more would hardly change the slope.
SEQUENCES = 16
# Time steps that the slope of gated networks is computed from at most.
LONGEST = 1_000


def rnn_slope(weight_variance: float, hidden: int, xs) -> float:
    """Return the slope of mean-field theory for an RNN, in nats.

    Args:
        weight_variance: Number of hidden units times the variance of a weight.
        hidden: Number of hidden units.
        xs: Sequences `(B, T, D)`, whose mean square matters.
    """
    square = float(jnp.mean(jnp.sum(jnp.asarray(xs) ** 2, axis=-1)))
    # The variance of x_t @ w_xh.
    input_variance = square * weight_variance / hidden
    return theory.rnn_slope(weight_variance**0.5, input_variance)


def gated_slope(params: F.GRUParams | F.LSTMParams, x, weight_variance: float) -> float:
    """Return the slope that theory predicts for a GRU or LSTM, in nats per step.

    It follows from the values of the gates on `x (B, T, D)`, without any gradient. Of a
    longer sequence, `LONGEST` steps in the middle stand for all, because the time that
    theory takes grows as the square of the length.

    Args:
        params: Weights of the networks of all seeds, with a leading axis of seeds.
        x: Sequences, of which the first few are used.
        weight_variance: Hidden units times the variance of a weight of `w_hh`.

    Returns:
        The mean slope over seeds, per step back in time.
    """
    lstm = isinstance(params, F.LSTMParams)
    values, profile = (
        (lstm_gates, theory.lstm_gradient_profile)
        if lstm
        else (gru_gates, theory.gru_gradient_profile)
    )
    x = jnp.swapaxes(jnp.asarray(x)[:SEQUENCES], 0, 1)
    every = jax.jit(lambda params: jax.lax.map(lambda p: values(p, x), params))(params)
    skipped = max(0, (len(x) - LONGEST) // 2)
    some = slice(skipped, skipped + LONGEST)
    slopes = []
    for seed in range(len(params.w_hh)):
        line = profile(
            *(np.asarray(value[seed][some]) for value in every),
            weight_variance=weight_variance,
        )
        # The steps near both ends differ from those between and are left out.
        quarter = len(line) // 4
        middle = np.arange(quarter, len(line) - quarter)
        slopes.append(-np.polyfit(middle, line[middle], 1)[0])
    return float(np.mean(slopes))


def min_gru_profile(params: F.MinGRUParams, x) -> np.ndarray:
    """Return the log of the gradient norm of a minGRU relative to the last step.

    Since `h_t = z_t h_{t-1} + (1 - z_t) n_t`, and z and n do not depend on h, a unit's
    gradient at step t is that at the end times the product of its later gates. The
    norm takes the mean square of the product over units and sequences.

    Args:
        params: Weights of the networks of all seeds, with a leading axis of seeds.
        x: Sequences `(B, T, D)`, of which the first few are used.

    Returns:
        `(T,)` nats, the mean over seeds; the last is 0.
    """
    x = jnp.asarray(x)[:SEQUENCES]

    def profile(p: F.MinGRUParams) -> jax.Array:
        a = (x @ p.w_xh + p.b)[..., : p.b.shape[-1] // 2]
        logs = jnp.flip(jnp.cumsum(jnp.flip(jax.nn.log_sigmoid(a), 1), 1), 1)
        # The state after step t passes the gates of the steps after t.
        later = jnp.concatenate([logs[:, 1:], jnp.zeros_like(logs[:, :1])], 1)
        return 0.5 * jax.nn.logsumexp(2 * later, axis=(0, 2))

    lines = np.asarray(jax.jit(lambda p: jax.lax.map(profile, p))(params), np.float64)
    return (lines - lines[:, -1:]).mean(0)
