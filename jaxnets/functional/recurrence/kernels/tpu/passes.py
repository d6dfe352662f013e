"""Persistent kernels for TPUs: one launch computes all steps of a recurrence.

The recurrent weights are read once and stay in VMEM, and so does the state. The gate
inputs of a time block are copied in and its outputs are copied out while the kernel
computes another block. A loop of XLA launches several kernels in every step.

Products of float32 have the precision of `jax.default_matmul_precision`, as in XLA: by
default the operands are rounded to bfloat16, and the sums are float32. When the kernels
are interpreted on a CPU, products have the precision of the CPU.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.kernels.gates import GATES
from jaxnets.functional.recurrence.kernels.tpu.blocks import (
    block_sizes,
    operand_dtype,
    pad_gates,
    pad_weights,
    unpad_gates,
)
from jaxnets.functional.recurrence.kernels.tpu.grid import (
    Walk,
    codes_by_tile,
    launch,
    streamed,
    tile,
    whole,
)
from jaxnets.functional.recurrence.kernels.tpu.steps import (
    backward_block,
    forward_block,
)


def forward(
    cell: str,
    from_x: jax.Array,
    w_hh: jax.Array,
    b_h: jax.Array | None,
    state: tuple[jax.Array, ...],
    codes: jax.Array | None,
    *,
    reverse: bool,
    interpret: Any = False,
) -> tuple[jax.Array, jax.Array | None, tuple[jax.Array, ...]]:
    """Compute all steps.

    Args:
        cell: "rnn", "gru" or "lstm".
        from_x: `x @ w_xh + b`, `(T, B, G*H)`, in float32 or bfloat16.
        w_hh: `(H, G*H)`, in the same dtype.
        b_h: The GRU's `b_hn (H,)` in float32, or None.
        state: The initial state, which is also the state after a reset: `(h,)`, or `(h,
            c)`, each `(B, H)` in float32.
        codes: Integers `(T, B)`: 1 for a real step, 0 for padding, 3 for a real step
            before which the state is reset. None if all steps are real and there are
            no resets.
        reverse: Whether the last step is computed first.
        interpret: As in `pl.pallas_call`.

    Returns:
        `ys (T, B, H)`, in the dtype of `from_x`; for the LSTM the memory cell after
        each step, `(T, B, H)` in float32, otherwise None; and the final state.
    """
    time, batch, _ = from_x.shape
    hidden = w_hh.shape[0]
    sizes = block_sizes(cell, batch, time, hidden, from_x.dtype, backward=False)
    walk, pad = Walk(cell, time, batch, reverse, sizes), sizes.hidden
    states = [pad_gates(s, hidden, pad) for s in state]
    inputs = {
        "from_x": (pad_gates(from_x, hidden, pad), streamed(walk, GATES[cell])),
        "w_hh": (pad_weights(_operand(w_hh, interpret), hidden, pad), whole()),
        "b_h": None if b_h is None else (pad_gates(b_h[None], hidden, pad), whole()),
        "codes": codes_by_tile(codes, walk),
        "initial": [(s, tile(walk)) for s in states],
    }
    outputs = {
        "ys": ((time, batch, pad), from_x.dtype, streamed(walk, 1)),
        "cs": ((time, batch, pad), jnp.float32, streamed(walk, 1))
        if cell == "lstm"
        else None,
        "state": [((batch, pad), jnp.float32, tile(walk)) for _ in states],
    }
    out = launch(forward_block, walk, inputs, outputs, interpret)
    cut = lambda a: unpad_gates(a, hidden, pad)
    cs = None if cell != "lstm" else cut(out["cs"])
    return cut(out["ys"]), cs, tuple(map(cut, out["state"]))


def backward(
    cell: str,
    pre: tuple[jax.Array, ...],
    w_hh: jax.Array,
    before: tuple[jax.Array, ...],
    codes: jax.Array | None,
    ct_ys: jax.Array,
    ct_final: tuple[jax.Array, ...],
    *,
    reverse: bool,
    interpret: Any = False,
) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...], tuple[jax.Array, ...] | None]:
    """Compute the cotangents of the pre-activations of all steps.

    Args:
        cell: "rnn", "gru" or "lstm".
        pre: The pre-activations `(T, B, G*H)`. Those of the GRU are `[a_r, a_z, a_n]
            (T, B, 3*H)`, where a_n is the part of n that depends on `x_t`, and `a_hn =
            h @ w_hn + b_hn`, `(T, B, H)`.
        w_hh: As in `forward`.
        before: The state at the start of each step, after a reset, `(T, B, H)`.
        codes: As in `forward`.
        ct_ys: `(T, B, H)`.
        ct_final: The cotangent of the final state, each `(B, H)` in float32.
        reverse: As in `forward`.
        interpret: As in `forward`.

    Returns:
        The cotangents of `pre`, in its dtype; those of the state before the first step
        that is computed; and the sums of those that end at a reset, or None if `codes`
        is None.
    """
    time, batch, _ = ct_ys.shape
    hidden, dtype = w_hh.shape[0], pre[0].dtype
    sizes = block_sizes(cell, batch, time, hidden, dtype, backward=True)
    walk, pad = Walk(cell, time, batch, not reverse, sizes), sizes.hidden
    padded = lambda a: pad_gates(a, hidden, pad)
    streams = [(padded(a), streamed(walk, a.shape[-1] // hidden)) for a in pre]
    # The RNN needs no state. The GRU needs h and the LSTM c, which is the last array.
    own = None if cell == "rnn" else (padded(before[-1]), streamed(walk, 1))
    carried = [((batch, pad), jnp.float32, tile(walk)) for _ in ct_final]
    inputs = {
        "pre": streams,
        "w_hh": (pad_weights(_operand(w_hh, interpret), hidden, pad).T, whole()),
        "before": own,
        "codes": codes_by_tile(codes, walk),
        "ct_ys": (padded(ct_ys), streamed(walk, 1)),
        "ct_final": [(padded(ct), tile(walk)) for ct in ct_final],
    }
    outputs = {
        "ct_pre": [(a.shape, dtype, spec) for a, spec in streams],
        "ct_state": carried,
        "ct_initial": None if codes is None else carried,
    }
    out = launch(backward_block, walk, inputs, outputs, interpret)
    cut = lambda arrays: tuple(unpad_gates(a, hidden, pad) for a in arrays)
    ct_initial = None if codes is None else cut(out["ct_initial"])
    return cut(out["ct_pre"]), cut(out["ct_state"]), ct_initial


def _operand(w_hh: jax.Array, interpret: Any) -> jax.Array:
    """Return the weights in the dtype in which they are multiplied."""
    return w_hh if interpret else w_hh.astype(operand_dtype(w_hh.dtype))
