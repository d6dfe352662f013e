"""Run any cell: check the arguments, parse the options, choose, loop over time.

The functions `rnn`, `gru` and `lstm` and their steps have signatures and documentation;
`run_cell` and `step_cell` have the code, for any cell with a `Cell` description.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.arguments import as_switch
from jaxnets.choices import Candidate, Chosen, choose
from jaxnets.functional.recurrence.activations import Activation, has_slope
from jaxnets.functional.recurrence.arguments import (
    batch_of,
    check_features,
    check_state,
    same_dtype,
)
from jaxnets.functional.recurrence.cell import BoundCell, Cell, nonstandard_feature
from jaxnets.functional.recurrence.cell_options import (
    CellOptions,
    Draws,
    draw_zoneout,
    dropout_mask,
    parse_cell_options,
)
from jaxnets.functional.recurrence.products import input_projection
from jaxnets.functional.recurrence.time.compiled import run_compiled
from jaxnets.functional.recurrence.time.cotangents import forward_mode_message
from jaxnets.functional.recurrence.time.in_place.scan import in_place_scan
from jaxnets.functional.recurrence.time.options import (
    ScanOptions,
    parse_scan,
    time_first,
)
from jaxnets.functional.recurrence.time.plain import compute_step, plain_scan
from jaxnets.functional.recurrence.time.split import split_scan
from jaxnets.functional.shared.sharding import match_varying_axes, shard_like
from jaxnets.platforms import run_by_platform
from jaxnets.tap import is_read, reverse_only


class _Arguments(NamedTuple):
    """The arguments of a cell, checked and converted to one dtype.

    Attributes:
        params: The parameters.
        x: The inputs of all steps, or of one step.
        state: The initial state.
        options: The parsed cell options.
        mask: The mask of recurrent dropout, or None.
        draws: Random draws, time first.
        batch: The batch axes.
        time: Number of steps, also symbolic, in a tuple; empty for a single step.
    """

    params: Any
    x: jax.Array
    state: Any
    options: CellOptions
    mask: Any
    draws: Draws
    batch: tuple[Any, ...]
    time: tuple[Any, ...]


def run_cell(
    cell: Cell,
    params: Any,
    x: Any,
    state: Any,
    *,
    lengths: Any,
    resets: Any,
    reverse: Any,
    time_major: Any,
    unroll: Any,
    checkpoint: Any,
    truncate: Any,
    implementation: str | None,
    **cell_options: Any,
) -> tuple[Any, Any]:
    """Run `cell` over time, as its public function does.

    The implementations, in the order of preference:

    - "in_place": as "split", but the residuals are stored in the memory of the input
      projection, for cells in their standard form;
    - "split": a loop whose backward pass computes only the cotangents of the
      pre-activations, and after it the gradients of the weights, without forward mode;
    - "scan": a plain scan, which JAX differentiates in every mode, and which runs in
      the place of the others under `jax.disable_jit`;
    - the cell's kernels, on some platforms.

    Args:
        cell: The description of the cell.
        params: Its parameters.
        x: `(*batch, T, D)`, or `(T, *batch, D)` with `time_major`.
        state: Initial state, or None for zeros.
        lengths: As in `recur`.
        resets: As in `recur`.
        reverse: As in `recur`.
        time_major: As in `recur`.
        unroll: As in `recur`.
        checkpoint: As in `recur`.
        truncate: As in `recur`.
        implementation: The user's option; None chooses.
        **cell_options: The other options, as the user passed them.

    Returns:
        `(state, ys)`.
    """
    time_major = as_switch(time_major, "time_major")
    given = _parse_arguments(cell, params, x, state, cell_options, time_major)
    options = parse_scan(
        given.x,
        given.batch,
        lengths=lengths,
        resets=resets,
        reverse=reverse,
        time_major=time_major,
        unroll=unroll,
        checkpoint=checkpoint,
        truncate=truncate,
    )
    fields = "params", "x", "state", "mask", "draws"
    arrays: Any = {name: getattr(given, name) for name in fields}
    norm = given.options.layer_norm
    arrays, norm, _ = match_varying_axes(arrays, norm, options.masks)
    given = given._replace(**arrays, options=given.options._replace(layer_norm=norm))
    candidates = lambda platform: _candidates(cell, given, options, platform)
    chosen = choose(cell.name, implementation, candidates)
    return run_compiled(_run_chosen, (cell,), (chosen, given, options))


def _run_chosen(
    cell: Cell, chosen: Chosen, given: _Arguments, options: ScanOptions
) -> tuple[Any, Any]:
    """Run the implementation that is chosen for the platform of the program."""
    kernels = {kernel.name: kernel for kernel in cell.kernels}

    def variant(platform: str, name: str) -> tuple[str, str]:
        # The loops are the same on all accelerators, and that in place everywhere.
        if name in kernels:
            return name, platform
        on_cpu = platform == "cpu" or name == "in_place"
        return name, "cpu" if on_cpu else "accelerator"

    def run(variant: tuple[str, str]) -> tuple[Any, Any]:
        name, platform = variant
        if name in kernels:
            message = forward_mode_message(implementation=name)
            arrays = reverse_only((given.params, given.x, given.state), message)
            return kernels[name].run(platform, *arrays, options)
        # Without jit a scan is a Python loop, which cannot stack the pullbacks of
        # "split". Only the plain scan has its taps as equations of the program.
        plain = jax.config.jax_disable_jit or is_read()
        loop = _LOOPS["scan" if plain else name]
        own = options._replace(project_first=platform != "cpu")
        return loop(_bound(cell, given), given.state, given.x, own)

    variants = {p: variant(p, name) for p, name in chosen.names.items()}
    return run_by_platform(variants, run, chosen.reasons)


_LOOPS = {"in_place": in_place_scan, "split": split_scan, "scan": plain_scan}


def step_cell(
    cell: Cell, params: Any, state: Any, x_t: Any, **cell_options: Any
) -> tuple[Any, Any]:
    """Compute one step of `cell`, as its public function does."""
    given = _parse_arguments(cell, params, x_t, state, cell_options, None)
    bound = _bound(cell, given)
    from_x = input_projection(bound.weights, given.x)
    return compute_step(bound, given.state, from_x, given.draws)


def _parse_arguments(
    cell: Cell,
    params: Any,
    x: Any,
    state: Any,
    cell_options: dict[str, Any],
    time_major: bool | None,
) -> _Arguments:
    """Check the arguments of a run, or of one step if `time_major` is None."""
    options = dict(cell_options)
    key, dropout = options.pop("key"), options.pop("recurrent_dropout")
    widths = cell.widths(params)
    columns = jnp.shape(params.w_xh)[1]
    sizes = {"gain_h": columns, "gain_x": columns, "gain_c": widths[-1]}
    sizes["bias_c"] = widths[-1]
    norms = {name: sizes[name] for name in cell.norms}
    parsed = parse_cell_options(
        cell.switches, norms, params.b.dtype, len(widths), **options
    )

    step = time_major is None
    lead = "(time, *batch, " if time_major else "(*batch, time, "
    name, axes = ("x_t", "(*batch, features)") if step else ("x", f"{lead}features)")
    check_features(name, x, params.w_xh, axes)
    shape = jnp.shape(x)
    batch = shape[:-1] if step else batch_of(x, time_major)
    time = () if step else (shape[0 if time_major else -2],)
    shapes = [(*batch, width) for width in widths]
    if state is not None or step:
        state = check_state(state, shapes, cell.state)
    mask = dropout_mask(dropout, key, shapes[0])
    params, norm, x, state = same_dtype(params, parsed.layer_norm, x, state)
    if state is None:
        zeros = [jnp.zeros(shape, x.dtype) for shape in shapes]
        state = zeros[0] if cell.state is None else cell.state(*zeros)
    # The loops in `time` differentiate it, and booleans have no derivative.
    mask = None if mask is None else mask.astype(x.dtype)
    draws = draw_zoneout(key, parsed.zoneout, [(*time, *shape) for shape in shapes])
    axes = time_first(0 if time_major else len(batch), len(batch))
    state, mask = shard_like((state, mask), x, axes[1:])
    draws = shard_like(draws, x, axes[1:] if step else axes)
    parsed = parsed._replace(layer_norm=norm)
    return _Arguments(params, x, state, parsed, mask, draws, batch, time)


def _bound(cell: Cell, given: _Arguments) -> BoundCell:
    return cell.bind(given.params, given.options, given.mask, given.draws)


def _candidates(
    cell: Cell, given: _Arguments, options: ScanOptions, platform: str
) -> list[Candidate]:
    """Return all implementations for these arguments, the preferred one first."""
    feature = nonstandard_feature(cell, given.options, given.params, given.mask)
    activations = {name: getattr(given.options, name) for name in cell.activations}
    standard = lambda name, f: f in cell.activations[name]
    nonstandard = _other_activation(activations, standard, "the standard one")
    lead = *given.time, *given.batch
    kernels = [
        kernel.candidate(
            platform, nonstandard or feature, given.params, given.x, lead, options
        )
        for kernel in cell.kernels
    ]
    known = lambda name, f: has_slope(f)
    unknown = _other_activation(activations, known, "tanh, sigmoid and relu")
    in_place = _in_place_candidate(unknown or feature, cell, given, platform)
    return [*kernels, in_place, Candidate("split"), Candidate("scan")]


def _other_activation(
    activations: dict[str, Activation],
    supported: Callable[[str, Activation], bool],
    names: str,
) -> str | None:
    """Name the first activation that is not supported, or return None."""
    others = [name for name, f in activations.items() if not supported(name, f)]
    return f"`{others[0]}` other than {names}" if others else None


def _in_place_candidate(
    unsupported: str | None, cell: Cell, given: _Arguments, platform: str
) -> Candidate:
    """Return the candidate "in_place"; `unsupported` names a feature of the cell."""
    (time,) = given.time
    # The loops in place do not compute the gradients of these.
    others = bool(jax.tree.leaves(_bound(cell, given).other_params))
    obstacles = {
        f"does not support {unsupported}": unsupported is not None,
        "does not support parameters outside of the products": others,
        f"supports float32 and float64 only, not {given.x.dtype}": given.x.dtype
        not in (jnp.float32, jnp.float64),
        "does not support a symbolic number of steps": not isinstance(time, int),
        "needs at least one step": isinstance(time, int) and time == 0,
    }
    reason = next((reason for reason, found in obstacles.items() if found), None)
    if reason is not None:
        return Candidate("in_place", reason, possible=False)
    return Candidate("in_place", None if platform == "cpu" else "is meant for CPUs")
