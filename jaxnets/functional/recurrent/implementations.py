"""Which implementation a recurrence runs: chosen here, or forced by name."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from jaxnets.choices import Candidate, choose
from jaxnets.functional.recurrent.arguments import batch_of
from jaxnets.functional.recurrent.cell import (
    Activation,
    Cell,
    from_result,
    input_share,
    preactivations,
    projects_all_steps_at_once,
)
from jaxnets.functional.recurrent.cotangents import explained
from jaxnets.functional.recurrent.recurrence import scan_steps
from jaxnets.functional.recurrent.scan_options import ScanPlan, parse_scan
from jaxnets.functional.recurrent.split_scan import split_scan


# Turns an activation into the one that an implementation wants.
Wrap = Callable[[Activation], Activation]


def choose_recurrence(
    implementation: str | None, function: str, further: Sequence[Candidate] = ()
) -> str:
    """Return the name of the implementation that runs.

    In the order of preference:

    - "split": a scan whose backward loop computes the cotangents of the
      pre-activations only, and the gradients of the weights after it; the same values
      as "scan", faster in reverse mode, without a forward mode;
    - "scan": a plain scan, differentiated by JAX in every mode.

    Args:
        implementation: The caller's; None chooses.
        function: Who asks.
        further: Implementations that only this function has.

    Raises:
        ValueError: If the name is unknown, or cannot run with these options.
    """
    candidates = [Candidate("split"), Candidate("scan"), *further]
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
    """Run a cell over the checked `x` by "split" or "scan".

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
