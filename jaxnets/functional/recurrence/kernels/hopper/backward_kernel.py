"""The backward kernel for Hopper: one launch for all steps."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jaxnets.functional.recurrence.kernels.gates import (
    STATES,
    THROUGH_W_HH,
    pull_back_step,
)
from jaxnets.functional.recurrence.kernels.hopper.block import (
    Block,
    activations_of,
    broadcast,
    where,
)
from jaxnets.functional.recurrence.kernels.hopper.memory import (
    shared,
    write_global,
    write_operand,
)
from jaxnets.functional.recurrence.kernels.hopper.tiles import (
    UNITS,
    Tiles,
    padded_state,
    padded_steps,
    padded_weights,
    unpadded_steps,
)


def backward_kernel(
    cell: str,
    tiles: Tiles,
    pre: tuple[jax.Array, ...],
    w_hh: jax.Array,
    before: tuple[jax.Array, ...],
    codes: jax.Array | None,
    ct_ys: jax.Array,
    ct_final: tuple[jax.Array, ...],
    *,
    reverse: bool,
    interpret: Any,
) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...], tuple[jax.Array, ...] | None]:
    """Walk back over all steps, as `hopper.backward` says."""
    time, batch, _ = ct_ys.shape
    hidden, dtype = w_hh.shape[0], w_hh.dtype
    parts = {"a": tiles.gates, "a_hn": 1}
    inputs = {
        name: padded_steps(a.astype(dtype), parts[name], tiles)
        for name, a in zip(parts, pre, strict=False)
    }
    inputs["ct_ys"] = padded_steps(ct_ys.astype(dtype), 1, tiles)
    if cell != "rnn":
        inputs["before"] = padded_steps(before[-1], 1, tiles)
    parts = {name: parts.get(name, 1) for name in inputs}
    inputs["w"] = padded_weights(w_hh, tiles, transposed=False)
    for k, ct in enumerate(ct_final):
        inputs[f"ct_final_{k}"] = padded_state(ct, tiles)
    if codes is not None:
        inputs["codes"] = jnp.pad(codes, ((0, 0), (0, -batch % tiles.rows)))
    rows = batch + -batch % tiles.rows
    outputs = {
        f"ct_{name}": ((time, rows, parts[name] * tiles.hidden), dtype)
        for name in ("a", "a_hn")[: len(pre)]
    }
    kinds = ("ct_state", "ct_initial") if codes is not None else ("ct_state",)
    names = [[f"{kind}_{k}" for k in range(len(ct_final))] for kind in kinds]
    for kind in names:
        outputs |= {name: ((tiles.hidden, rows), jnp.float32) for name in kind}
    operand = (2, tiles.gates, tiles.groups, tiles.pieces * tiles.rows, UNITS)
    scratch = {"ct_smem": shared(operand, jnp.bfloat16)}
    # The last step of the forward pass comes first.
    block = Block(tiles, dtype, time, not reverse, parts)
    body = functools.partial(_body, cell, block, codes is not None)
    found = block.call(body, inputs, outputs, scratch, rows, interpret)
    ct_pre = tuple(
        unpadded_steps(found[f"ct_{name}"], batch, hidden, parts[name]).astype(a.dtype)
        for name, a in zip(("a", "a_hn"), pre, strict=False)
    )
    states = [tuple(found[name].T[:batch, :hidden] for name in kind) for kind in names]
    return ct_pre, states[0], states[1] if codes is not None else None


def _body(cell: str, block: Block, masked: bool, refs: dict[str, Any]) -> None:
    """Run one block of sequences over all steps."""
    tiles, by = block.tiles, activations_of(block.dtype)
    units, rows = block.units(), block.rows()
    count = STATES[cell]
    weights = block.load_weights(refs)
    for t in range(min(tiles.stages, block.time)):
        block.fetch(refs, t)
    final = block.state(refs, "ct_final", count)
    block.wait_for_weights(refs)

    def one_step(t, carry):
        ct_state, ct_initial, code = carry
        slot = lax.rem(t, jnp.int32(2))
        next_code: Any = block.codes(refs, t + 1) if masked else None
        block.wait_for_inputs(refs, t)
        pre = block.inputs(refs, t, "a")
        if cell == "gru":
            pre += block.inputs(refs, t, "a_hn")
        before = None if cell == "rnn" else block.inputs(refs, t, "before")[0]
        (ct_y,) = block.inputs(refs, t, "ct_ys")
        if masked:
            real = broadcast(code & 1, 1, tiles) == 1
            reset = broadcast(code & 2, 1, tiles) == 2
            zero = jnp.zeros_like(ct_y)
            ct_y = jnp.where(real, ct_y, zero)
        ct_after = (ct_state[0] + ct_y, *ct_state[1:])
        ct_pre, ct_before = pull_back_step(cell, pre, before, ct_after, by)
        if masked:
            ct_pre = [jnp.where(real, ct, zero) for ct in ct_pre]
            ct_before = where(real, ct_before, ct_state)
        operands = [refs["ct_smem"].at[slot, gate] for gate in range(tiles.gates)]
        for operand, k in zip(operands, THROUGH_W_HH[cell], strict=True):
            write_operand(operand.at[block.group()], ct_pre[k], tiles)
        plgpu.commit_smem()
        plgpu.barrier_arrive(refs["met"])
        results = {"ct_a": ct_pre[: tiles.gates]}
        if cell == "gru":
            results["ct_a_hn"] = ct_pre[tiles.gates :]
        block.store(refs, t, results)
        plgpu.barrier_wait(refs["met"])
        (ct_h,) = block.products(weights, operands, [0] * tiles.gates)
        ct_before = (ct_before[0] + ct_h, *ct_before[1:])
        if masked:
            zeros = (zero,) * count
            ended = where(reset, ct_before, zeros)
            ct_initial = tuple(map(jnp.add, ct_initial, ended))
            ct_before = where(reset, zeros, ct_before)
        pl.when(t + tiles.stages < block.time)(
            lambda: block.fetch(refs, t + tiles.stages)
        )
        return ct_before, ct_initial, next_code

    zeros = tuple(jnp.zeros_like(ct) for ct in final) if masked else None
    code = block.codes(refs, 0) if masked else None
    carry = (tuple(final), zeros, code)
    ct_state, ct_initial, _ = block.loop(one_step, carry)
    for k in range(count):
        write_global(refs[f"ct_state_{k}"].at[units, rows], ct_state[k])
        if masked:
            write_global(refs[f"ct_initial_{k}"].at[units, rows], ct_initial[k])
    plgpu.wait_smem_to_gmem(0)
