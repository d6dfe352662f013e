"""A scan that leaves what the backward pass needs where the input's products stood.

The split scan stacks the arrays that the gates need for their derivative one by one,
and wants time first. For cells whose derivative is written by hand, `Gates`, less will
do. `x_t w_xh` of many steps is one product, and such results are the large arrays that
there are: step t reads its share and leaves its gates in the place; on the way back it
reads the gates and leaves the cotangents of the pre-activations.

On a CPU memory that was not touched before is slow: that is most of what is saved.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional.recurrence.cell import Cell
from jaxnets.functional.recurrence.time.in_place.backward import (
    NO_MASKS,
    Taps,
    backward_pass,
)
from jaxnets.functional.recurrence.time.in_place.chunks import Walk, stretch_count
from jaxnets.functional.recurrence.time.in_place.forward import (
    Inputs,
    Kept,
    forward_pass,
)
from jaxnets.functional.recurrence.time.options import Masks, ScanPlan
from jaxnets.functional.recurrence.time.segments import in_segments
from jaxnets.functional.recurrence.time.split import no_cotangent, split_scan
from jaxnets.tap import is_measuring, taps_by_hand


def in_place_scan(cell: Cell, state: Any, x: Any, plan: ScanPlan) -> tuple[Any, Any]:
    """Run `cell`, without any cell option, by its `gates`.

    Args:
        cell: The cell.
        state: Its initial state.
        x: `(*batch, T, D)`, or `(T, *batch, D)`, as `plan.time_axis` says.
        plan: The scan options.

    Returns:
        The final state, and all outputs with the axes of `x`.
    """
    initial, x = state, jnp.asarray(x)
    if plan.segment is None:
        return _scan(cell, plan, initial, state, x, plan.masks)
    first = plan._replace(time_axis=0)

    def scan(state, x, masks, draws):
        del draws
        return _scan(cell, first, initial, state, x, masks)

    return in_segments(scan, state, x, None, plan)


def _scan(
    cell: Cell, plan: ScanPlan, initial: Any, state: Any, x: jax.Array, masks: Masks
) -> tuple[Any, jax.Array]:
    """Run with the batch axes made one."""
    lead = list(x.shape[:-1])
    time = lead.pop(plan.time_axis)
    rows = math.prod(lead)
    flat = lambda tree: jax.tree.map(lambda a: a.reshape(rows, a.shape[-1]), tree)
    # A mask of one axis says the same of all sequences, of which there may be one.
    each = lambda m: m.reshape(time, rows) if m.ndim == 1 + len(lead) else m
    masks = jax.tree.map(each, masks)
    axis = min(plan.time_axis, 1) if lead else 1
    sizes = (rows, time) if axis else (time, rows)
    sequences = x.reshape(*sizes, x.shape[-1])
    if masks.valid is not None:
        # Padding is read as zero, whatever stands there.
        real = jnp.moveaxis(masks.valid, 0, axis)[..., None]
        sequences = jnp.where(real, sequences, 0)
    # A segment is computed inside of a loop, where nothing runs beside anything.
    count = stretch_count(time) if plan.segment is None else 1
    walk = Walk(axis, plan.reverse, plan.unroll, count)
    plan = plan._replace(time_axis=axis, segment=None)
    run = _differentiable_scan(cell, plan, walk)
    inputs = Inputs(cell.weights, flat(initial), flat(state), sequences, masks)
    state, ys = run(inputs)
    state = jax.tree.map(lambda a: a.reshape(*lead, a.shape[-1]), state)
    return state, ys.reshape(*x.shape[:-1], ys.shape[-1])


def _differentiable_scan(
    cell: Cell, plan: ScanPlan, walk: Walk
) -> Callable[[Inputs], tuple[Any, jax.Array]]:
    """Return the scan, whose derivative is the backward pass in place."""
    taps = taps_by_hand(cell.gates.taps) if is_measuring() else None
    onward, back = _differentiated_by_definition(cell, plan, walk, taps)

    @jax.custom_vjp
    def run(inputs: Inputs):
        state, kept = forward_pass(cell, walk, inputs, keeps=False)
        return state, kept.ys

    def forward(inputs: Inputs):
        result, kept = onward(inputs)
        return result, (inputs, kept)

    def backward(residuals, cotangents) -> Any:
        inputs, kept = residuals
        ct_inputs, logs = back(inputs, kept, cotangents)
        ct_masks = jax.tree.map(no_cotangent, inputs.masks)
        ct_inputs = ct_inputs._replace(masks=ct_masks)
        return (ct_inputs,) if taps is None else ((ct_inputs,), logs)

    (run.defvjp if taps is None else run.defvjp_with_logs)(forward, backward)
    return run


def _differentiated_by_definition(
    cell: Cell, plan: ScanPlan, walk: Walk, taps: Taps | None
) -> tuple[Any, Any]:
    """Return both passes, with derivatives that are those of the split scan.

    JAX would differentiate loops that write in place by keeping all they write to, of
    every step. But for a derivative of the derivative nothing in here is called.
    (Identities over what is computed would do, but for JAX 0.11, where their derivative
    is wrong, without an error, inside of a scan that carries the state.)

    Returns:
        `onward(inputs) -> ((state, ys), kept)`, and `back(inputs, kept, cotangents) ->
        (ct_inputs, logs)`, as `backward_pass` does. What is kept and logged has no
        derivative.
    """

    def definition(inputs: Inputs):
        own = cell._replace(weights=inputs.weights)
        masked = plan._replace(**inputs.masks._asdict())
        return split_scan(own, inputs.state, inputs.x, masked, inputs.initial)

    def pulled_back(inputs: Inputs, cotangents: Any) -> Inputs:
        ct_inputs = jax.vjp(definition, inputs)[1](cotangents)[0]
        return ct_inputs._replace(masks=NO_MASKS)

    @jax.custom_jvp
    def onward(inputs: Inputs):
        state, kept = forward_pass(cell, walk, inputs, keeps=True)
        return (state, kept.ys), kept

    @onward.defjvp
    def _(primals, tangents):
        (inputs,), (t_inputs,) = primals, tangents
        result, kept = onward(inputs)
        # The transpose of the linear map that pulls back: split has no forward mode.
        pull = lambda cotangents: pulled_back(inputs, cotangents)
        floats = t_inputs._replace(masks=NO_MASKS)
        t_result = jax.vjp(pull, _zeros(result))[1](floats)[0]
        return (result, kept), (t_result, _zeros(kept))

    @jax.custom_jvp
    def back(inputs: Inputs, kept: Kept, cotangents: Any):
        return backward_pass(cell, walk, inputs, kept, cotangents, taps)

    @back.defjvp
    def _(primals, tangents):
        (inputs, _, cotangents), (t_inputs, _, t_cotangents) = primals, tangents
        ct_inputs, logs = back(*primals)
        t_back = jax.jvp(pulled_back, (inputs, cotangents), (t_inputs, t_cotangents))[1]
        return (ct_inputs, logs), (t_back, _zeros(logs))

    return onward, back


def _zeros(tree: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, tree)
