"""Which implementation a recurrence runs: chosen here, or forced by name."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.choices import Candidate, choose
from jaxnets.functional.recurrence.arguments import batch_of
from jaxnets.functional.recurrence.cell import (
    Activation,
    Cell,
    from_result,
    input_share,
    preactivations,
    projects_all_steps_at_once,
)
from jaxnets.functional.recurrence.custom_step import scan_steps
from jaxnets.functional.recurrence.time.cotangents import explained
from jaxnets.functional.recurrence.time.in_place.scan import in_place_scan
from jaxnets.functional.recurrence.time.options import ScanPlan, parse_scan
from jaxnets.functional.recurrence.time.split import split_scan


# Turns an activation into the one that an implementation wants.
Wrap = Callable[[Activation], Activation]


def in_place_candidate(departs: str | None, dtype: Any, time: int) -> Candidate:
    """Return "in_place" as it stands for these arguments.

    Args:
        departs: What the cell has that the standard one has not; None if nothing.
        dtype: Of all arrays.
        time: Number of steps.
    """
    lacking = {
        f"has no {departs}": departs is not None,
        f"float32 and float64 only, not {dtype}": dtype
        not in (jnp.float32, jnp.float64),
        "wants a step": time == 0,
    }
    missing = next((reason for reason, lacks in lacking.items() if lacks), None)
    if missing is not None:
        return Candidate("in_place", missing, possible=False)
    backend = jax.default_backend()
    return Candidate("in_place", None if backend == "cpu" else "made for CPUs")


def choose_recurrence(
    implementation: str | None,
    function: str,
    in_place: Candidate,
    further: Sequence[Candidate] = (),
) -> str:
    """Return the name of the implementation that runs.

    In the order of preference:

    - "in_place": a scan for the standard cell, with its derivative by hand, that keeps
      little, in several loops with the products beside them; as "split" otherwise;
    - "split": a scan whose backward loop computes the cotangents of the
      pre-activations only, and the gradients of the weights after it; the same values
      as "scan", faster in reverse mode, without a forward mode;
    - "scan": a plain scan, differentiated by JAX in every mode.

    Args:
        implementation: The caller's; None chooses.
        function: Who asks.
        in_place: As `in_place_candidate` returns it.
        further: Implementations that only this function has.

    Raises:
        ValueError: If the name is unknown, or cannot run with these options.
    """
    candidates = [in_place, Candidate("split"), Candidate("scan"), *further]
    return choose(function, implementation, candidates)


def run_cell(
    implementation: str,
    make_cell: Callable[[Wrap], Cell],
    state: Any,
    x: Any,
    *,
    time_major: bool,
    clip_cotangent: float | None,
    **options: Any,
) -> tuple[Any, Any]:
    """Run a cell over the checked `x` by "in_place", "split" or "scan".

    Args:
        implementation: Its name.
        make_cell: Builds the cell, with its activations wrapped.
        state: Initial state.
        x: `(*batch, time, features)`, or time first with `time_major`.
        time_major: Whether time is first.
        clip_cotangent: Bound; the cell applies it, here it is named in an error.
        **options: The other scan options.
    """
    batch = batch_of(x, time_major)
    time = jnp.shape(x)[0 if time_major else -2]
    plan = parse_scan(time, batch, time_major=time_major, **options)
    if implementation == "in_place":
        with explained(implementation="in_place"):
            cell = make_cell(lambda activation: activation)
            return in_place_scan(cell, state, x, plan)
    if implementation == "split":
        with explained(clip_cotangent=clip_cotangent, implementation="split"):
            return split_scan(make_cell(from_result), state, x, plan)
    with explained(clip_cotangent=clip_cotangent):
        cell = make_cell(lambda activation: activation)
        return _plain_scan(cell, state, x, plan)


def _plain_scan(cell: Cell, state: Any, x: Any, plan: ScanPlan) -> tuple[Any, Any]:
    """Scan the step as it stands, and leave the derivative to JAX."""

    def step(state, from_x, draws_t):
        h = cell.recalled(cell.extras, state)
        parts = preactivations(cell, from_x, h, cell.weights)
        return cell.advance(cell.extras, parts, state, draws_t)

    project = functools.partial(input_share, cell.weights)
    if projects_all_steps_at_once():
        return scan_steps(step, state, x, plan, cell.draws, prepare=project)
    each = lambda state, x_t, draws_t: step(state, project(x_t), draws_t)
    return scan_steps(each, state, x, plan, cell.draws)
