"""The LSTM of cuDNN, through `jax.experimental.rnn`: when it can run, and the call.

It was compared with JAX's own reference of the same call, and never run on a GPU. So
it is never chosen: it runs only if `implementation` names it.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import backend

from jaxnets.choices import Candidate
from jaxnets.functional.recurrence.cell import Kernel
from jaxnets.functional.recurrence.time.options import ScanOptions
from jaxnets.tap import is_measuring


def _candidate(
    differs: str | None,
    x: jax.Array,
    lead: tuple[int, ...],
    options: ScanOptions,
) -> Candidate:
    """Return "cudnn" as it stands for these arguments, on a GPU."""
    # AMD's GPUs are "gpu" too, and their library orders the gates differently.
    if "rocm" in backend.get_backend().platform_version.lower():
        return Candidate("cudnn", _ELSEWHERE, possible=False)
    unsupported = {
        "`resets`": options.resets is not None,
        "`checkpoint`": options.segment is not None,
        "`truncate`": options.cuts is not None,
        "taps, which `measure` needs": is_measuring(),
    }
    found = differs or next((name for name, used in unsupported.items() if used), None)
    if found is not None:
        return Candidate("cudnn", f"does not support {found}", possible=False)
    if x.dtype != jnp.float32:
        reason = f"supports float32 only, not {x.dtype}"
        return Candidate("cudnn", reason, possible=False)
    if 0 in lead:
        reason = "needs at least one step and one sequence"
        return Candidate("cudnn", reason, possible=False)
    return Candidate("cudnn", "was never run on a GPU: runs only if it is named")


def _run(
    params: Any, x: jax.Array, state: Any, options: ScanOptions
) -> tuple[Any, jax.Array]:
    """Run the standard LSTM by cuDNN."""
    # Imported here because the module is experimental and may go.
    from jax.experimental import rnn

    moved = jnp.moveaxis(x, options.time_axis, 0)
    time, *batch, features = moved.shape
    hidden = params.w_hh.shape[0]
    rows = lambda array: jnp.swapaxes(array.reshape(time, -1, array.shape[-1]), 0, 1)
    valid = jnp.ones((time, *batch), bool) if options.valid is None else options.valid
    mask = rows(valid[..., None])
    steps = jnp.sum(mask[..., 0], axis=1, dtype=jnp.int32)
    reverse = options.reverse
    sequences = _reversed_if(reverse, jnp.where(mask, rows(moved), 0.0), steps)
    start = [s.reshape(-1, hidden) for s in state]

    # cuDNN needs at least one step. The result of a sequence without any is not used.
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
    ys = jnp.where(mask, _reversed_if(reverse, ys, steps), 0.0)
    some = (steps > 0)[:, None]
    finals = [
        jnp.where(some, after[0], before).reshape(*batch, hidden)
        for after, before in zip((h, c), start, strict=True)
    ]
    ys = jnp.swapaxes(ys, 0, 1).reshape(time, *batch, hidden)
    return type(state)(*finals), jnp.moveaxis(ys, 0, options.time_axis)


def _packed(params: Any) -> jax.Array:
    """Lay the weights out as cuDNN does: matrices, then two biases.

    The order of its gates is ours.
    """
    matrices = [params.w_xh.T.reshape(-1), params.w_hh.T.reshape(-1)]
    return jnp.concatenate([*matrices, params.b, jnp.zeros_like(params.b)])


def _reversed_if(reverse: bool, rows: jax.Array, steps: jax.Array) -> jax.Array:
    """Reverse the real steps of `rows (batch, time, features)` if that is asked."""
    if not reverse:
        return rows
    index = jnp.arange(rows.shape[1], dtype=steps.dtype)[None]
    ends = steps[:, None]
    source = jnp.where(index < ends, ends - 1 - index, index)
    return jnp.take_along_axis(rows, source[..., None], axis=1)


_ELSEWHERE = "needs an NVIDIA GPU"
CUDNN = Kernel("cudnn", "gpu", _ELSEWHERE, _candidate, _run)
