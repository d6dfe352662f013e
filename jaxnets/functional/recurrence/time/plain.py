"""The plain loop over time, which JAX differentiates in every mode."""

import functools
from typing import Any

from jaxnets.functional.recurrence.cell import BoundCell, blocks, plain_hooks
from jaxnets.functional.recurrence.products import (
    input_projection,
    preactivations,
)
from jaxnets.functional.recurrence.time.options import ScanOptions
from jaxnets.functional.recurrence.time.steps import scan_steps


def plain_scan(
    cell: BoundCell, state: Any, x: Any, options: ScanOptions
) -> tuple[Any, Any]:
    """Run a plain scan of the step, which JAX differentiates."""
    project = functools.partial(input_projection, cell.weights)
    step = functools.partial(compute_step, cell)
    if options.project_first:
        return scan_steps(step, state, x, options, cell.draws, prepare=project)
    each = lambda state, x_t, draws_t: step(state, project(x_t), draws_t)
    return scan_steps(each, state, x, options, cell.draws)


def compute_step(
    cell: BoundCell, state: Any, from_x: Any, draws_t: Any
) -> tuple[Any, Any]:
    """Compute one step from the input projection."""
    h = cell.recurrent_input(cell.other_params, state)
    a = blocks(cell, preactivations(cell, from_x, h, cell.weights))
    return cell.update(cell.other_params, a, state, draws_t, plain_hooks(cell.options))
