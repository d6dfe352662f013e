"""The LSTM of cuDNN, through `jax.experimental.rnn`.

It was tested against the reference implementation in JAX only, never on a GPU. So it
runs only if `implementation` names it. JAX asks the library of the GPU for the sizes of
its arrays while it traces, so there must be a GPU then.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.choices import Candidate
from jaxnets.functional.recurrence.cell import Kernel
from jaxnets.functional.recurrence.time.options import ScanOptions
from jaxnets.tap import is_measuring


def _candidate(
    platform: str,
    nonstandard: str | None,
    params: Any,
    x: jax.Array,
    lead: tuple[Any, ...],
    options: ScanOptions,
) -> Candidate:
    """Return the candidate "cudnn" for these arguments."""
    del params
    if platform != "cuda" or jax.default_backend() != "gpu":
        return Candidate(
            "cudnn", "needs an NVIDIA GPU while JAX traces", possible=False
        )
    unsupported = {
        "`resets`": options.resets is not None,
        "`checkpoint`": options.segment is not None,
        "`truncate`": options.cuts is not None,
        "taps, which `measure` needs": is_measuring(),
    }
    found = nonstandard or next(
        (name for name, used in unsupported.items() if used), None
    )
    if found is not None:
        return Candidate("cudnn", f"does not support {found}", possible=False)
    if x.dtype != jnp.float32:
        reason = f"supports float32 only, not {x.dtype}"
        return Candidate("cudnn", reason, possible=False)
    if 0 in lead:
        reason = "needs at least one step and one sequence"
        return Candidate("cudnn", reason, possible=False)
    return Candidate("cudnn", "was never tested on a GPU: runs only if it is named")


def _run(
    platform: str, params: Any, x: jax.Array, state: Any, options: ScanOptions
) -> tuple[Any, jax.Array]:
    """Run the standard LSTM with cuDNN."""
    del platform
    # Imported here because the module is experimental and may be removed.
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

    # cuDNN needs at least one step. The result of a sequence of length 0 is replaced.
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
    """Concatenate the weights as cuDNN expects: matrices, then two biases.

    Its gates have the same order as ours.
    """
    matrices = [params.w_xh.T.reshape(-1), params.w_hh.T.reshape(-1)]
    return jnp.concatenate([*matrices, params.b, jnp.zeros_like(params.b)])


def _reversed_if(reverse: bool, rows: jax.Array, steps: jax.Array) -> jax.Array:
    """Reverse the steps of `rows (batch, time, features)`, except for padding."""
    if not reverse:
        return rows
    index = jnp.arange(rows.shape[1], dtype=steps.dtype)[None]
    ends = steps[:, None]
    source = jnp.where(index < ends, ends - 1 - index, index)
    return jnp.take_along_axis(rows, source[..., None], axis=1)


CUDNN = Kernel("cudnn", _candidate, _run)
