"""What a persistent kernel for TPUs computes for one time block of one batch tile."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from jaxnets.functional.recurrence.kernels.gates import (
    GATES,
    THROUGH_W_HH,
    next_state,
    pull_back_step,
)
from jaxnets.functional.recurrence.kernels.tpu.blocks import LANES
from jaxnets.functional.recurrence.kernels.tpu.grid import Walk


def forward_block(walk: Walk, inputs: dict[str, Any], outputs: dict[str, Any]):
    """Compute the steps of one time block of one batch tile."""
    width, state = walk.sizes.hidden, outputs["state"]
    gates = [slice(g * width, (g + 1) * width) for g in range(GATES[walk.cell])]
    b_h = None if inputs["b_h"] is None else inputs["b_h"][...]

    @pl.when(pl.program_id(1) == 0)
    def _():
        for now, initial in zip(state, inputs["initial"], strict=True):
            now[...] = initial[...]

    def step(k, t):
        before = [s[...] for s in state]
        start, real = before, None
        if inputs["codes"] is not None:
            real, reset = _masks(inputs["codes"], t)
            initial = [s[...] for s in inputs["initial"]]
            start = [jnp.where(reset, *p) for p in zip(initial, before, strict=True)]
        w_hh = inputs["w_hh"][...]
        product = _product(start[0], w_hh)
        from_h = [product[:, g] for g in gates]
        if b_h is not None:
            from_h[-1] = from_h[-1] + b_h
        from_x = [inputs["from_x"][k, :, g].astype(jnp.float32) for g in gates]
        after = next_state(walk.cell, from_x, from_h, start)
        y = after[0]
        if real is not None:
            y = jnp.where(real, y, 0.0)
            after = [jnp.where(real, *p) for p in zip(after, before, strict=True)]
        outputs["ys"][k] = y.astype(outputs["ys"].dtype)
        if outputs["cs"] is not None:
            outputs["cs"][k] = after[1]
        for now, value in zip(state, after, strict=True):
            now[...] = value

    walk.each_step(step)


def backward_block(walk: Walk, inputs: dict[str, Any], outputs: dict[str, Any]):
    """Compute the cotangents of one time block of one batch tile."""
    width = walk.sizes.hidden
    ct_state, ct_initial = outputs["ct_state"], outputs["ct_initial"]
    # The blocks of all pre-activations, as the number of the array and the columns.
    blocks = [
        (number, slice(g * width, (g + 1) * width))
        for number, array in enumerate(inputs["pre"])
        for g in range(array.shape[-1] // width)
    ]

    @pl.when(pl.program_id(1) == 0)
    def _():
        for now, final in zip(ct_state, inputs["ct_final"], strict=True):
            now[...] = final[...]
        for ct in ct_initial or []:
            ct[...] = jnp.zeros_like(ct)

    def step(k, t):
        after = [ct[...] for ct in ct_state]
        own = [after[0] + inputs["ct_ys"][k].astype(jnp.float32), *after[1:]]
        real, reset = None, None
        if inputs["codes"] is not None:
            real, reset = _masks(inputs["codes"], t)
            own = [jnp.where(real, ct, 0.0) for ct in own]
        a = [inputs["pre"][n][k, :, c].astype(jnp.float32) for n, c in blocks]
        before = inputs["before"]
        before = None if before is None else before[k].astype(jnp.float32)
        ct_a, (ct_h, *others) = pull_back_step(walk.cell, a, before, own)
        for (n, c), ct in zip(blocks, ct_a, strict=True):
            outputs["ct_pre"][n][k, :, c] = ct.astype(inputs["pre"][0].dtype)
        wide = jnp.concatenate([ct_a[g] for g in THROUGH_W_HH[walk.cell]], axis=-1)
        ct = [ct_h + _product(wide, inputs["w_hh"][...]), *others]
        if real is not None and reset is not None:
            for total, part in zip(ct_initial, ct, strict=True):
                total[...] += jnp.where(reset, part, 0.0)
            ct = [jnp.where(reset, 0.0, part) for part in ct]
            ct = [jnp.where(real, *p) for p in zip(ct, after, strict=True)]
        for now, value in zip(ct_state, ct, strict=True):
            now[...] = value

    walk.each_step(step)


def _product(a: jax.Array, w: jax.Array) -> jax.Array:
    """Return `a @ w` in float32, of operands in the dtype of the weights."""
    return jnp.dot(a.astype(w.dtype), w, preferred_element_type=jnp.float32)


def _masks(codes: Any, t: Any) -> tuple[jax.Array, jax.Array]:
    """Return which rows are real at step t, and which are reset before it."""
    codes = codes[...]
    lanes = jax.lax.broadcasted_iota(jnp.int32, codes.shape, 1)
    own = jnp.where(lanes == jax.lax.rem(t, LANES), codes, 0)
    code = jnp.sum(own, axis=1, keepdims=True, dtype=jnp.int32)
    return code & 1 != 0, code == 3
