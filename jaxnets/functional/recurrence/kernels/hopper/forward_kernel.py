"""The forward kernel for Hopper: one launch for all steps."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jaxnets.functional.recurrence.kernels.gates import STATES, next_state
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


def forward_kernel(
    cell: str,
    tiles: Tiles,
    from_x: jax.Array,
    w_hh: jax.Array,
    b_h: jax.Array | None,
    state: tuple[jax.Array, ...],
    codes: jax.Array | None,
    *,
    reverse: bool,
    interpret: Any,
) -> tuple[jax.Array, jax.Array | None, tuple[jax.Array, ...]]:
    """Run `cell` over all steps, as `hopper.forward` says."""
    time, batch, _ = from_x.shape
    hidden, dtype = w_hh.shape[0], from_x.dtype
    inputs = {
        "from_x": padded_steps(from_x, tiles.gates, tiles),
        "w": padded_weights(w_hh, tiles, transposed=True),
        **{f"initial_{k}": padded_state(s, tiles) for k, s in enumerate(state)},
    }
    if b_h is not None:
        inputs["b_h"] = jnp.pad(b_h, (0, tiles.hidden - hidden))
    if codes is not None:
        inputs["codes"] = jnp.pad(codes, ((0, 0), (0, -batch % tiles.rows)))
    rows = batch + -batch % tiles.rows
    outputs = {
        "ys": ((time, rows, tiles.hidden), dtype),
        "cs": ((time, rows, tiles.hidden), jnp.float32),
        "final_0": ((tiles.hidden, rows), jnp.float32),
        "final_1": ((tiles.hidden, rows), jnp.float32),
    }
    if cell != "lstm":
        del outputs["cs"], outputs["final_1"]
    operand = (2, tiles.groups, tiles.pieces * tiles.rows, UNITS)
    scratch = {"h_smem": shared(operand, jnp.bfloat16)}
    block = Block(tiles, dtype, time, reverse, {"from_x": tiles.gates})
    body = functools.partial(_body, cell, block, codes is not None)
    found = block.call(body, inputs, outputs, scratch, rows, interpret)
    final = [found[f"final_{k}"].T[:batch, :hidden] for k in range(len(state))]
    cs = unpadded_steps(found["cs"], batch, hidden) if "cs" in found else None
    return unpadded_steps(found["ys"], batch, hidden), cs, tuple(final)


def _body(cell: str, block: Block, masked: bool, refs: dict[str, Any]) -> None:
    """Run one block of sequences over all steps."""
    tiles, by = block.tiles, activations_of(block.dtype)
    units, rows = block.units(), block.rows()
    count = STATES[cell]
    weights = block.load_weights(refs)
    for t in range(min(tiles.stages, block.time)):
        block.fetch(refs, t)
    initial = block.state(refs, "initial", count)
    bias = None
    if "b_h" in refs:
        layout = plgpu.Layout.WGMMA.reduce(1)
        values = plgpu.load(refs["b_h"].at[units], layout=layout, optimized=False)
        bias = broadcast(values, 0, tiles)
    write_operand(refs["h_smem"].at[0, block.group()], initial[0], tiles)
    plgpu.commit_smem()
    block.wait_for_weights(refs)
    block.meet(refs)

    def one_step(t, carry):
        state, code = carry
        slot = lax.rem(t, jnp.int32(2))
        # Loaded long before it is used.
        next_code: Any = block.codes(refs, t + 1) if masked else None
        block.wait_for_inputs(refs, t)
        x = block.inputs(refs, t, "from_x")
        h = refs["h_smem"].at[slot]
        from_h = block.products(weights, [h] * tiles.gates, [*range(tiles.gates)])
        if bias is not None:
            from_h[-1] = from_h[-1] + bias
        new = next_state(cell, x, from_h, state, by)
        y, state_after, following = new[0], new, new
        if masked:
            real = broadcast(code & 1, 1, tiles) == 1
            # There is no step after the last, so no reset before it.
            bit = lax.select(t + 1 < block.time, jnp.int32(2), jnp.int32(0))
            reset = broadcast(next_code & bit, 1, tiles) == 2
            y = jnp.where(real, y, jnp.zeros_like(y))
            state_after = where(real, new, state)
            following = where(reset, initial, state_after)
        h = refs["h_smem"].at[1 - slot, block.group()]
        write_operand(h, following[0], tiles)
        plgpu.commit_smem()
        plgpu.barrier_arrive(refs["met"])
        results = {"ys": [y]}
        if cell == "lstm":
            results["cs"] = [state_after[1]]
        block.store(refs, t, results)
        plgpu.barrier_wait(refs["met"])
        pl.when(t + tiles.stages < block.time)(
            lambda: block.fetch(refs, t + tiles.stages)
        )
        return following, next_code

    code = block.codes(refs, 0) if masked else None
    state, _ = block.loop(one_step, (tuple(initial), code))
    for k in range(count):
        write_global(refs[f"final_{k}"].at[units, rows], state[k])
    plgpu.wait_smem_to_gmem(0)
