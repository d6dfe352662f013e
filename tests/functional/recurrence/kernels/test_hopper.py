"""The kernels for Hopper, interpreted on CPUs, beside plain loops in NumPy float64.

The interpreter simulates shared memory, barriers and copies, and starts with NaN. It
multiplies no weights that are in registers: those of the largest sizes only compile,
which `test_hopper_compiles.py` tests.
"""

import functools
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import mosaic_gpu as plgpu
from jax.sharding import PartitionSpec as P

from jaxnets.functional.recurrence.kernels import hopper
from jaxnets.functional.recurrence.kernels.gates import GATES
from jaxnets.functional.recurrence.kernels.hopper import tiles
from tests.functional.recurrence.kernels.gpu_sizes import LARGEST
from tests.oracles import recurrent as oracle


# With 67 units there are two warpgroups, each in a thread of its own. On two cores the
# interpreter of JAX then sometimes waits forever, so that is not the default.
HIDDEN = int(os.environ.get("JAXNETS_HOPPER_UNITS", "37"))
INTERPRETER = plgpu.InterpretGPUParams(detect_races=True)
STEPS: Any = {
    "rnn": oracle.rnn_step,
    "gru": oracle.gru_step,
    "lstm": oracle.lstm_step,
}
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.02}


class Case(NamedTuple):
    """The arguments of the forward kernel, and cotangents of its results."""

    from_x: Any
    w_hh: Any
    b_h: Any
    state: Any
    codes: Any
    ct_ys: Any
    ct_final: Any


def draw(cell, rng, dtype="float32", batch=3, time=2, hidden=5, masked=True):
    gates, states = GATES[cell], 1 + (cell == "lstm")
    array = lambda *shape, dtype=dtype: jnp.asarray(rng.standard_normal(shape), dtype)
    state = lambda: tuple(array(batch, hidden, dtype="float32") for _ in range(states))
    codes = jnp.asarray(rng.integers(0, 4, (time, batch)), "int32") if masked else None
    return Case(
        array(time, batch, gates * hidden),
        array(hidden, gates * hidden) / np.asarray(hidden**0.5, dtype),
        array(hidden, dtype="float32") if cell == "gru" else None,
        state(),
        codes,
        array(time, batch, hidden),
        state(),
    )


class Run(NamedTuple):
    """What the loops find."""

    ys: Any
    after: Any
    final: Any
    before: Any


def loops(cell, case, first, shift=None, *, reverse):
    """Run a case with the steps of the oracle.

    Args:
        cell: The cell.
        case: The case.
        first: The state before the first step; `case.state` is that after resets.
        shift: What is added to `b_h` in each step, `(T, B, H)`, or None.
        reverse: As in the kernels.
    """
    from_x, w_hh, b_h, initial, codes, *_ = case
    time, batch, width = from_x.shape
    codes = np.ones((time, batch), int) if codes is None else codes
    ys = np.zeros((time, batch, w_hh.shape[0]))
    after = [np.zeros_like(ys) for _ in initial]
    before = [np.zeros_like(ys) for _ in initial]
    final = [np.array(s) for s in first]
    for n in range(batch):
        current = tuple(s[n] for s in first)
        for t in reversed(range(time)) if reverse else range(time):
            if codes[t, n] & 2:
                current = tuple(s[n] for s in initial)
            for array, s in zip(before, current, strict=True):
                array[t, n] = s
            if codes[t, n] & 1:
                others = {"rnn": (), "gru": (), "lstm": (None, None)}[cell]
                if cell == "gru":
                    others = (b_h + (0.0 if shift is None else shift[t, n]),)
                params = (np.eye(width), w_hh, np.zeros(width), *others)
                state = current if cell == "lstm" else current[0]
                state, ys[t, n] = STEPS[cell](params, state, from_x[t, n])
                current = state if cell == "lstm" else (state,)
            for array, s in zip(after, current, strict=True):
                array[t, n] = s
        for array, s in zip(final, current, strict=True):
            array[n] = s
    return Run(ys, tuple(after), tuple(final), tuple(before))


def forward(cell, case, reverse=False, interpret: Any = INTERPRETER):
    return hopper.forward(cell, *case[:5], reverse=reverse, interpret=interpret)


def backward(cell, case, pre, before, reverse=False, interpret: Any = INTERPRETER):
    arrays = (pre, case.w_hh, before, case.codes, case.ct_ys, case.ct_final)
    return hopper.backward(cell, *arrays, reverse=reverse, interpret=interpret)


def preactivations(cell, case, before):
    """Return what the backward kernel reads, in float64."""
    from_h = before[0] @ case.w_hh
    if cell != "gru":
        return (case.from_x + from_h,)
    hidden = case.w_hh.shape[0]
    from_h, a_hn = np.split(from_h, [2 * hidden], axis=-1)
    from_h = np.concatenate([from_h, np.zeros_like(a_hn)], axis=-1)
    return case.from_x + from_h, a_hn + case.b_h


def as_float64(tree) -> Any:
    cast = lambda a: a if a.dtype == np.int32 else np.asarray(a, np.float64)
    return jax.tree.map(cast, jax.tree.map(np.asarray, tree))


def assert_close(actual, expected, tolerance=1e-6):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a, e = np.asarray(a, np.float64), np.asarray(e, np.float64)
        np.testing.assert_allclose(a, e, tolerance, tolerance * max(1, abs(e).max()))


def compare_with_loops(cell, case, rng, reverse):
    """Compare both kernels with loops, and with their slopes."""
    dtype = case.from_x.dtype
    tolerance = TOLERANCES[dtype.name]
    wide = as_float64(case)
    run = functools.partial(loops, cell, reverse=reverse)
    expected = run(wide, wide.state)
    ys, cs, final = jax.jit(functools.partial(forward, cell, reverse=reverse))(case)
    assert ys.dtype == dtype
    assert_close((ys, final), (expected.ys, expected.final), tolerance)
    assert (cs is None) == (cell != "lstm")
    if cs is not None:
        assert cs.dtype == jnp.float32
        assert_close(cs, expected.after[1], tolerance)

    pre = preactivations(cell, wide, expected.before)
    rounded = jax.tree.map(lambda a: jnp.asarray(a, dtype), (pre, expected.before))
    pull = jax.jit(functools.partial(backward, cell, reverse=reverse))
    ct_pre, ct_state, ct_initial = pull(case, *rounded)
    assert all(ct.dtype == dtype for ct in ct_pre)
    gradients = [ct_pre[0], ct_state]
    arrays = [wide.from_x, wide.state]
    if wide.codes is None:
        assert ct_initial is None
    else:
        gradients.append(ct_initial)
        arrays.append(wide.state)
    if cell == "gru":
        gradients.append(ct_pre[1])
        arrays.append(np.zeros_like(wide.ct_ys))
    leaves, tree = jax.tree.flatten(arrays)

    def loss(*leaves):
        from_x, first, *others = jax.tree.unflatten(tree, leaves)
        shift = others.pop() if cell == "gru" else None
        given = wide._replace(from_x=from_x, state=others[0] if others else first)
        found = run(given, first, shift)
        total = np.vdot(found.ys, wide.ct_ys)
        return total + sum(map(np.vdot, found.final, wide.ct_final))

    # One random direction for each array checks all of its elements.
    for k, gradient in enumerate(jax.tree.leaves(as_float64(gradients))):
        directions = [np.zeros_like(a) for a in leaves]
        directions[k] = rng.standard_normal(leaves[k].shape)
        slope = oracle.slope(loss, leaves, directions)
        scale = np.linalg.norm(gradient) * np.linalg.norm(directions[k])
        assert abs(np.vdot(gradient, directions[k]) - slope) < tolerance * scale


@pytest.mark.parametrize("cell", GATES)
def test_float32_with_padding_and_resets(cell, rng):
    """Two blocks of sequences, more steps than stages, and padding."""
    case = draw(cell, rng, batch=11, time=6, hidden=HIDDEN)
    compare_with_loops(cell, case, rng, cell != "gru")


@pytest.mark.parametrize("cell", GATES)
def test_bfloat16_with_a_state_in_float32(cell, rng):
    case = draw(cell, rng, "bfloat16", batch=5, time=6, masked=False)
    compare_with_loops(cell, case, rng, cell == "gru")


@pytest.mark.parametrize(
    ("cell", "dtype", "rows"), [("lstm", "float32", 16), ("rnn", "bfloat16", 32)]
)
def test_wider_blocks(cell, dtype, rows, rng, monkeypatch):
    """As large batches have, which would otherwise fill the GPU more than once."""
    monkeypatch.setattr(tiles, "MULTIPROCESSORS", 1)
    for back in (False, True):
        found: Any = tiles.find_tiles(cell, rows - 1, 5, dtype, backward=back)
        assert found.rows == rows
    case = draw(cell, rng, dtype, batch=rows - 1)
    compare_with_loops(cell, case, rng, True)


def both(cell, case, interpret: Any = INTERPRETER):
    """Return the results of both kernels, for pre-activations that are drawn."""
    before = tuple(case.ct_ys for _ in case.state)
    pre = (case.from_x, case.ct_ys)[: 1 + (cell == "gru")]
    results = forward(cell, case, interpret=interpret)
    return results, backward(cell, case, pre, before, interpret=interpret)


@pytest.mark.parametrize("shared", [False, True])
def test_vmap(shared, rng):
    cases = [draw("rnn", rng, time=1) for _ in range(2)]
    axes = Case(0, 0, None, 0, 0, 0, 0)
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *cases)
    if shared:
        axes = axes._replace(w_hh=None)
        stacked, *cases = (c._replace(w_hh=cases[0].w_hh) for c in (stacked, *cases))
    run = functools.partial(both, "rnn")
    actual = jax.jit(jax.vmap(run, (axes,)))(stacked)
    one = jax.jit(run)
    assert_close(actual, jax.tree.map(lambda *a: jnp.stack(a), *map(one, cases)))


def test_shard_map(rng):
    case, run = draw("gru", rng, batch=4), functools.partial(both, "gru")
    steps, rows = P(None, "d"), P("d")
    specs = Case(steps, P(), P(), (rows,), steps, steps, (rows,))
    results = (steps, None, (rows,)), ((steps, steps), (rows,), (rows,))

    def one(case):
        found = run(case)
        for leaf in jax.tree.leaves(found):
            assert jax.typeof(leaf).manual_axis_type.varying == {"d"}
        return found

    def on(count):
        mesh = jax.make_mesh((count,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
        return jax.shard_map(one, mesh=mesh, in_specs=(specs,), out_specs=results)

    # The interpreter has one shared memory for all devices, so one must be enough.
    assert_close(jax.jit(on(1))(case), jax.jit(run)(case))
    jax.eval_shape(on(2), case)


def test_results_do_not_depend_on_x64(rng):
    case, run = draw("gru", rng), functools.partial(both, "gru")
    with jax.enable_x64(True):
        wide = jax.jit(run)(case)
        program = str(jax.make_jaxpr(functools.partial(run, interpret=False))(case))
    assert "f32[" in program and "f64" not in program
    assert_close(wide, jax.jit(run)(case))


def test_what_fits():
    reason: Any = functools.partial(hopper.fits, kind="NVIDIA H200")
    fitting = lambda *a: [
        h for h in range(1, 1025) if reason(a[0], 32, h, a[1]) is None
    ]
    found = {d: {cell: max(fitting(cell, d)) for cell in GATES} for d in TOLERANCES}
    # Each of these compiles.
    assert found == LARGEST
    memory = "KiB of the 227 KiB of shared memory of a multiprocessor"
    assert reason("lstm", 32, 193, "bfloat16") == f"needs 566 {memory}"
    assert "supports float32 and bfloat16 only" in reason("lstm", 32, 5, "float16")
    other = reason("rnn", 1, 1, "float32", kind="NVIDIA B200")
    assert other == "needs a GPU of the Hopper generation, not NVIDIA B200"
    assert reason("rnn", 1, 1, "float32", kind=None) is None


def test_sizes_that_do_not_fit_raise(rng):
    case = draw("rnn", rng, hidden=193)
    with pytest.raises(ValueError, match="needs 298 KiB of the 227 KiB"):
        forward("rnn", case)
