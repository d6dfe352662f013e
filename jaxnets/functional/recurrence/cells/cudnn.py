"""The LSTM of cuDNN, through `jax.experimental.rnn`: when it can run, and the call.

It was compared with JAX's own reference of the same call, and never run on a GPU. So
nothing chooses it: it runs by its name only.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import backend

from jaxnets.choices import Candidate
from jaxnets.functional.recurrence.arguments import batch_of
from jaxnets.functional.recurrence.cells.lstm_cell import LSTMOptions
from jaxnets.functional.recurrence.cells.lstm_params import LSTMParams, LSTMState
from jaxnets.functional.recurrence.standard_cell import STANDARD, departure
from jaxnets.functional.recurrence.time.options import (
    parse_scan,
    time_first,
    time_restored,
)
from jaxnets.tap import is_measuring
from jaxnets.typing import ArrayLike


def cudnn_candidate(
    params: LSTMParams,
    options: LSTMOptions,
    x: ArrayLike,
    *,
    time_major: bool,
    resets: Any,
    checkpoint: Any,
    truncate: Any,
) -> Candidate:
    """Return "cudnn" as it stands for these arguments, in one dtype."""
    lacking = {
        "`resets`": resets is not None,
        "`checkpoint`": checkpoint is not None,
        "`truncate`": truncate is not None,
        "taps, which `measure` wants": is_measuring(),
    }
    missing = departure(options, params, STANDARD) or next(
        (name for name, wanted in lacking.items() if wanted), None
    )
    if not _on_nvidia():
        return Candidate("cudnn", "needs an NVIDIA GPU", possible=False)
    if missing is not None:
        return Candidate("cudnn", f"has no {missing}", possible=False)
    if x.dtype != jnp.float32:
        return Candidate("cudnn", f"float32 only, not {x.dtype}", possible=False)
    if 0 in (*batch_of(x, time_major), x.shape[0 if time_major else -2]):
        return Candidate("cudnn", "wants a step and a sequence", possible=False)
    return Candidate("cudnn", "not yet tried on a GPU: by its name only")


def cudnn_lstm(
    params: LSTMParams,
    x: ArrayLike,
    state: LSTMState,
    *,
    lengths: Any,
    reverse: bool,
    time_major: bool,
) -> tuple[LSTMState, jax.Array]:
    """Run `lstm` by cuDNN; the arguments are checked but for `lengths`."""
    # The module is experimental: nobody else should depend on its being there.
    from jax.experimental import rnn

    batch, hidden = batch_of(x, time_major), params.w_hh.shape[0]
    moved = time_first(x, time_major)
    time, features = moved.shape[0], moved.shape[-1]
    order = {"reverse": reverse, "time_major": time_major}
    plan = parse_scan(time, batch, lengths=lengths, **order)
    rows = lambda array: jnp.swapaxes(array.reshape(time, -1, array.shape[-1]), 0, 1)
    valid = jnp.ones((time, *batch), bool) if plan.valid is None else plan.valid
    mask = rows(valid[..., None])
    steps = jnp.sum(mask[..., 0], axis=1, dtype=jnp.int32)
    sequences = _turned(jnp.where(mask, rows(moved), 0.0), steps, reverse)
    start = [s.reshape(-1, hidden) for s in state]

    # cuDNN wants one step at least. Where there is none, its result is not looked at.
    ys, h, c = rnn.lstm(
        sequences,
        start[0][None],
        start[1][None],
        _packed(params),
        jnp.maximum(steps, 1),
        features,
        hidden,
        1,
        0.0,
        False,
    )
    ys = jnp.where(mask, _turned(ys, steps, reverse), 0.0)
    some = (steps > 0)[:, None]
    finals = [
        jnp.where(some, after[0], before).reshape(*batch, hidden)
        for after, before in zip((h, c), start, strict=True)
    ]
    ys = jnp.swapaxes(ys, 0, 1).reshape(time, *batch, hidden)
    return LSTMState(*finals), time_restored(ys, time_major, len(batch))


def _on_nvidia() -> bool:
    # AMD's GPUs are "gpu" too, and their library has another order of gates.
    version = backend.get_backend().platform_version
    return jax.default_backend() == "gpu" and "rocm" not in version.lower()


def _packed(params: LSTMParams) -> jax.Array:
    """Lay the weights out as cuDNN has them: matrices, then biases, of which two.

    The order of its gates is ours.
    """
    matrices = [params.w_xh.T.reshape(-1), params.w_hh.T.reshape(-1)]
    return jnp.concatenate([*matrices, params.b, jnp.zeros_like(params.b)])


def _turned(rows: jax.Array, steps: jax.Array, reverse: bool) -> jax.Array:
    """Reverse the real steps of `rows (batch, time, features)`, if that is asked."""
    if not reverse:
        return rows
    places = jnp.arange(rows.shape[1], dtype=steps.dtype)[None]
    ends = steps[:, None]
    source = jnp.where(places < ends, ends - 1 - places, places)
    return jnp.take_along_axis(rows, source[..., None], axis=1)
