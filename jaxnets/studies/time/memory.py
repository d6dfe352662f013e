"""How much more sensitive the units of a gated network are if they remember longer."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import functional as F
from jaxnets.studies.time.gates import gru_gates, lstm_gates, min_gru_gates


# The exponent needs this many units, whose memories differ by at least this factor.
UNITS, SPREAD = 8, 10.0


def memory_exponents(params, xs) -> np.ndarray:
    """Return the exponent p of `sensitivity ~ memory^p` over the units of networks.

    A unit keeps the share l of its state at each step, where l is the mean of its
    gate, and remembers `m = 1 / (1 - l^2)` steps. Its sensitivity is the root mean
    square of the derivative of its state by the value of the gate, through its own
    past only. Steps of the first half, and units that remember more than a quarter of
    the sequence, are left out, since their derivatives have not settled.

    Args:
        params: Weights of an LSTM, GRU or minGRU, with a leading axis of seeds.
        xs: Sequences `(B, T, D)`.

    Returns:
        `(seeds,)`; NaN where the memories of the units differ too little for a slope.

    Source: Zucchet and Orvieto 2024, "Recurrent neural networks: vanishing and
    exploding gradients are not the end of the story" (arXiv 2405.21064).
    """
    xs = jnp.swapaxes(jnp.asarray(xs), 0, 1)
    measure = jax.jit(lambda params: jax.lax.map(lambda p: _units(p, xs), params))
    memory, sensitivity = map(np.asarray, measure(params))
    return np.array(
        [_slope(m, s, len(xs) / 4) for m, s in zip(memory, sensitivity, strict=True)]
    )


def _units(params, xs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the memory of each unit and its sensitivity, for `xs (T, B, D)`."""
    earlier = lambda states: jnp.pad(states[:-1], ((1, 0), (0, 0), (0, 0)))
    # The derivative of the next state by the gate, with the earlier state held fixed.
    if isinstance(params, F.LSTMParams):
        _, gate, _, _, c = lstm_gates(params, xs)
        drive = earlier(c)
    else:
        if isinstance(params, F.MinGRUParams):
            gate, h = min_gru_gates(params, xs)
        else:
            _, gate, _, h = gru_gates(params, xs)
        # It is h - n, and h' = z h + (1 - z) n.
        drive = (earlier(h) - h) / (1 - gate)

    def step(slope, both):
        gate, drive = both
        following = gate * slope + drive
        return following, following

    _, slopes = jax.lax.scan(step, jnp.zeros_like(drive[0]), (gate, drive))
    sensitivity = jnp.sqrt(jnp.mean(slopes[len(xs) // 2 :] ** 2, axis=(0, 1)))
    return 1 / (1 - jnp.mean(gate, axis=(0, 1)) ** 2), sensitivity


def _slope(memory: np.ndarray, sensitivity: np.ndarray, longest: float) -> float:
    """Return the slope on logarithmic axes."""
    settled = (memory < longest) & (sensitivity > 0)
    memory, sensitivity = memory[settled], sensitivity[settled]
    if len(memory) < UNITS or memory.max() < SPREAD * memory.min():
        return np.nan
    return float(np.polyfit(np.log(memory), np.log(sensitivity), 1)[0])
