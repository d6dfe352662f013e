"""Cells whose gates depend on `x_t` only, run in a loop or by an associative scan.

A step of such a cell is linear in the state, element by element: `h_t = decay_t *
h_{t-1} + value_t`.

Source: Feng et al. 2024, "Were RNNs All We Needed?".
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from jaxnets.arguments import as_switch
from jaxnets.choices import Candidate, Chosen, choose, run_chosen
from jaxnets.functional.recurrence.arguments import (
    batch_of,
    check_features,
    check_state,
    check_weights,
    same_dtype,
)
from jaxnets.functional.recurrence.initializers import (
    Initializer,
    check_init,
    init_gates,
)
from jaxnets.functional.recurrence.products import add_bias, product
from jaxnets.functional.recurrence.time.associative import solve, solve_in_logs
from jaxnets.functional.recurrence.time.compiled import run_compiled
from jaxnets.functional.recurrence.time.cotangents import clip_cotangents
from jaxnets.functional.recurrence.time.options import (
    Masks,
    ScanOptions,
    as_clip_cotangent,
    parse_scan,
    time_first,
)
from jaxnets.functional.recurrence.time.segments import in_segments, zero_unless
from jaxnets.functional.recurrence.time.steps import scan_steps
from jaxnets.functional.shared.sharding import match_varying_axes, shard_like
from jaxnets.tap import is_measuring, tap
from jaxnets.typing import Key


class LinearCell(NamedTuple):
    """The description of a cell whose gates depend on `x_t` only.

    Attributes:
        name: Name of its function, such as "min_gru".
        params: The NamedTuple type of its parameters, `w_xh (D, G*H)` and `b (G*H,)`.
        gates: Names of the G blocks of columns, in order.
        coefficients: `coefficients(a, tap) -> (decay, value)`, where `a` maps the names
            of the blocks to pre-activations, and `tap` is applied to the gates.
        log_coefficients: `log_coefficients(a)` returns the logarithms of both; None if
            values may be negative.
        switches: As in `Cell`.
        zero_params: As in `Cell`.
    """

    name: str
    params: type
    gates: tuple[str, ...]
    coefficients: Callable[..., tuple[Array, Array]]
    log_coefficients: Callable[[dict[str, Array]], tuple[Array, Array]] | None = None
    switches: Mapping[str, bool] = MappingProxyType({})
    zero_params: tuple[str, ...] = ()

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of its taps, in the order of the forward pass."""
        return (*self.gates, "h")

    @property
    def implementations(self) -> tuple[str, ...]:
        """The names that force an implementation."""
        logs = () if self.log_coefficients is None else ("associative_log",)
        return ("scan", "associative", *logs)

    def widths(self, params: Any) -> tuple[int, ...]:
        """Check the parameters; return the number of features of the state."""
        return (check_weights(params, self.params, self.gates),)


def positive(x: Array) -> Array:
    """Return `x + 1/2` where `x >= 0`, and `sigmoid(x)` elsewhere; it is positive."""
    return jnp.where(x >= 0, x + 0.5, jax.nn.sigmoid(x))


def log_positive(x: Array) -> Array:
    """Return the logarithm of `positive(x)`."""
    # Not `maximum`, whose derivative at zero is 1/2.
    above = jnp.log(jnp.where(x >= 0, x, 0.0) + 0.5)
    return jnp.where(x >= 0, above, jax.nn.log_sigmoid(x))


def init_linear_cell(
    cell: LinearCell,
    key: Key,
    in_features: int,
    hidden: int,
    biases: dict[str, Any],
    *,
    input_init: Initializer,
    dtype: DTypeLike,
) -> Any:
    """Draw the weights; `biases` has the biases of gates that are not zero."""
    initialisers = {"input_init": input_init}
    check_init(key, dtype, initialisers, in_features=in_features, hidden=hidden)
    count = len(cell.gates)
    b = [jnp.full(hidden, biases.get(gate, 0.0), dtype) for gate in cell.gates]
    w_xh = init_gates(input_init, key, (in_features, hidden), count, dtype)
    return cell.params(w_xh, jnp.concatenate(b))


def run_linear_cell(
    cell: LinearCell,
    params: Any,
    x: Any,
    state: Any,
    implementation: str | None,
    *,
    clip_cotangent: float | None,
    **scan_options: Any,
) -> tuple[Array, Array]:
    """Run `cell` over time, as its public function does.

    - "scan": a loop over time, which supports every option and taps;
    - "associative": all steps in parallel, by an associative scan;
    - "associative_log": the same with logarithms.

    While something measures, "scan" runs in the place of the others.
    """
    clip_cotangent = as_clip_cotangent(clip_cotangent)
    time_major = as_switch(scan_options["time_major"], "time_major")
    (hidden,) = cell.widths(params)
    axes = "(time, *batch, features)" if time_major else "(*batch, time, features)"
    check_features("x", x, params.w_xh, axes)
    batch, time = batch_of(x, time_major), jnp.shape(x)[0 if time_major else -2]
    params, x, h = _converted(params, x, state, (*batch, hidden))
    options = parse_scan(x, batch, **scan_options)
    h = shard_like(h, x, time_first(options.time_axis, len(batch))[1:])
    params, x, h, _ = match_varying_axes(params, x, h, options.masks)
    unsupported = {
        "`truncate`": options.cuts is not None,
        "`clip_cotangent`": clip_cotangent is not None,
        "a symbolic number of steps": not isinstance(time, int),
    }
    if is_measuring() and implementation in cell.implementations:
        implementation = "scan"  # the one in which taps record every step
    candidates = lambda platform: _candidates(cell, unsupported, platform)
    chosen = choose(cell.name, implementation, candidates)
    arguments = chosen, params, h, x, options, clip_cotangent
    return run_compiled(_run_chosen, (cell,), arguments)


def _run_chosen(
    cell: LinearCell,
    chosen: Chosen,
    params: Any,
    h: Array,
    x: Array,
    options: ScanOptions,
    clip_cotangent: float | None,
) -> tuple[Array, Array]:
    """Run the implementation of the platform that the program is for."""
    project = lambda x: _blocks(cell, add_bias(product(x, params.w_xh), params.b))

    def run(name: str) -> tuple[Array, Array]:
        if name == "scan":
            return _loop(cell, project, h, x, options, clip_cotangent)
        if x.shape[options.time_axis] == 0:
            ys = jnp.zeros((*x.shape[:-1], h.shape[-1]), x.dtype)
            return h, shard_like(ys, x, range(x.ndim - 1))
        return _in_parallel(cell, project, h, x, options, name == "associative_log")

    return run_chosen(chosen, run)


def _loop(
    cell: LinearCell,
    project: Callable[[Array], dict[str, Array]],
    h: Array,
    x: Array,
    options: ScanOptions,
    clip_cotangent: float | None,
) -> tuple[Array, Array]:
    """Run the cell step by step."""
    coefficients = lambda a: cell.coefficients(a, tap)

    def update(h: Array, pair: tuple[Array, Array], _: Any) -> tuple[Array, Array]:
        return _update(h, *pair, clip_cotangent)

    if is_measuring():
        # In the loop the taps of the gates record every step.
        measured = lambda h, a_t, _: update(h, coefficients(a_t), _)
        return scan_steps(measured, h, x, options, prepare=project)
    # XLA's CPU compiler takes a loop of elementwise operations for a small one, in
    # which the gates are slow. Before the loop, the forward pass of the benchmark
    # `recurrent`, row `min_lstm 32x512x128-128 forms`, took 28 ms instead of 121 (two
    # cores of an AMD EPYC, JAX 0.12.0.1).
    prepare = lambda x: coefficients(project(x))
    return scan_steps(update, h, x, options, prepare=prepare)


def _in_parallel(
    cell: LinearCell,
    project: Callable[[Array], dict[str, Array]],
    h: Array,
    x: Array,
    options: ScanOptions,
    in_logs: bool,
) -> tuple[Array, Array]:
    """Run all steps of the cell, or of each segment, by an associative scan."""
    log_coefficients: Any = cell.log_coefficients
    solver: Any = solve_in_logs if in_logs else solve

    def scan(state: Array, x: Array, masks: Masks, draws: None) -> tuple[Array, Array]:
        del draws
        a = project(x)
        decay, value = log_coefficients(a) if in_logs else cell.coefficients(a, tap)
        starts = h.astype(decay.dtype), state.astype(decay.dtype)
        states = solver(decay, value, *starts, masks, reverse=options.reverse)
        states = states.astype(x.dtype)
        final = states[0 if options.reverse else -1]
        ys = states if masks.valid is None else zero_unless(masks.valid, states)
        return final, ys

    return in_segments(scan, h, x, None, options)


def step_linear_cell(
    cell: LinearCell, params: Any, state: Any, x_t: Any
) -> tuple[Array, Array]:
    """Compute one step of `cell`, as its public function does."""
    (hidden,) = cell.widths(params)
    check_features("x_t", x_t, params.w_xh, "(*batch, features)")
    shape = (*jnp.shape(x_t)[:-1], hidden)
    check_state(state, [shape], None)
    params, x_t, h = _converted(params, x_t, state, shape)
    a_t = _blocks(cell, add_bias(product(x_t, params.w_xh), params.b))
    return _update(h, *cell.coefficients(a_t, tap), None)


def _converted(params, x, state, shape) -> tuple[Any, Array, Array]:
    """Check the state, unless it is None, and convert all arrays to one dtype."""
    if state is not None:
        check_state(state, [shape], None)
    params, x, state = same_dtype(params, x, state)
    return params, x, jnp.zeros(shape, x.dtype) if state is None else state


def _candidates(
    cell: LinearCell, unsupported: dict[str, bool], platform: str
) -> list[Candidate]:
    """Return the implementations for these arguments, the preferred one first."""
    found = next((name for name, used in unsupported.items() if used), None)
    reason = None if found is None else f"does not support {found}"
    parallel = [
        Candidate(name, reason, possible=found is None)
        for name in cell.implementations[1:]
    ]
    loop = Candidate("scan")
    # The group `forms` of the benchmark `recurrent` compares them.
    loop_first = is_measuring() or platform == "cpu"
    return [loop, *parallel] if loop_first else [*parallel, loop]


def _blocks(cell: LinearCell, a: Array) -> dict[str, Array]:
    split = jnp.split(a, len(cell.gates), axis=-1)
    return dict(zip(cell.gates, split, strict=True))


def _update(
    h: Array, decay: Array, value: Array, clip_cotangent: float | None
) -> tuple[Array, Array]:
    """Compute one step from its coefficients."""
    after = (decay * h.astype(decay.dtype) + value).astype(h.dtype)
    after = tap(clip_cotangents(after, clip_cotangent), "h")
    return after, after
