"""The kernels for TPUs, interpreted on the CPU as Mosaic would run them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pltpu
from jax.sharding import PartitionSpec as P

from jaxnets import functional as F
from jaxnets.choices import plan
from jaxnets.functional.recurrence.arguments import batch_of
from jaxnets.functional.recurrence.cells import gru_cell, lstm_cell, rnn_cell
from jaxnets.functional.recurrence.kernels import chips
from jaxnets.functional.recurrence.kernels.candidate import interpreted, pallas_kernel
from jaxnets.functional.recurrence.kernels.tpu import blocks, passes
from jaxnets.functional.recurrence.time.options import parse_scan
from jaxnets.functional.shared.sharding import match_varying_axes
from jaxnets.gradflow import measure
from tests.cells import FAMILIES, GRU, LSTM, RNN
from tests.functional.recurrence.setup import as_float32, draw_params, draw_state
from tests.oracles import recurrent as oracle


KERNELS = {
    "rnn": pallas_kernel("rnn", rnn_cell._bind),
    "gru": pallas_kernel("gru", gru_cell._bind, reset_after=True),
    "lstm": pallas_kernel("lstm", lstm_cell._bind, coupled_gates=False),
}
PLAIN = pltpu.InterpretParams(uninitialized_memory="nan")
STRICT = pltpu.InterpretParams(
    detect_races=True,
    out_of_bounds_reads="raise",
    uninitialized_memory="nan",
    num_cores_or_threads=2,
)
B, T, D, H = 11, 5, 2, 3

every_cell = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)


@pytest.fixture
def small_blocks(monkeypatch):
    """Cut 11 sequences of 5 steps into tiles of 8 and 3, and blocks of 2, 2 and 1."""
    monkeypatch.setattr(blocks, "_MOST_ROWS", 8)
    monkeypatch.setattr(blocks, "_MOST_STEPS", 2)


def run(family, params, x, state, *, interpret: Any = PLAIN, time_major=False, **scan):
    """Run the kernels as `family.run` would."""
    arrays = jax.tree.map(jnp.asarray, (params, x, state))
    params, x, state = match_varying_axes(*arrays)
    batch = batch_of(x, time_major)
    options = parse_scan(x, batch, time_major=time_major, **scan)
    with interpreted(("tpu", interpret)):
        return KERNELS[family.name].run("cpu", params, x, state, options)


def draw(family, rng, batch=(B,), time=T, hidden=H):
    params = draw_params(family, rng, D, hidden)
    return (
        params,
        rng.standard_normal((*batch, time, D)),
        draw_state(family, rng, batch, hidden),
    )


def masks(rng, batch=B, time=T):
    lengths = rng.integers(0, time + 1, batch)
    lengths[:2] = 0, time
    return {"lengths": lengths, "resets": rng.random((batch, time)) < 0.3}


def weighted(tree) -> Any:
    """Return a sum of all elements with different weights."""
    return sum(
        (leaf * np.cos(k + np.arange(leaf.size)).reshape(leaf.shape)).sum()
        for k, leaf in enumerate(jax.tree.leaves(tree))
    )


def values_and_gradients(run, *arguments):
    def loss(arguments):
        result = run(*arguments)
        total = weighted(jax.tree.map(lambda a: a.astype(jnp.float32), result))
        return total, result

    gradients, values = jax.jit(jax.grad(loss, has_aux=True))(arguments)
    return values, gradients


def assert_close(actual, expected, tolerance=1e-5):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a, e = np.asarray(a, np.float64), np.asarray(e, np.float64)
        np.testing.assert_allclose(a, e, tolerance, tolerance * max(1, abs(e).max()))


def compare_with_loops(family, dtype, rng, tolerance, **scan):
    """Compare values and gradients with those of plain loops in float64."""
    given = jax.tree.map(lambda a: jnp.asarray(a, dtype), draw(family, rng))
    arguments = jax.tree.map(lambda a: np.asarray(a, np.float64), given)
    scan |= masks(rng)
    loops = functools.partial(oracle.run, family.oracle_step, **scan)
    ours = functools.partial(run, family, interpret=STRICT, **scan)
    values, gradients = values_and_gradients(ours, *given)
    assert all(a.dtype == dtype for a in jax.tree.leaves((values, gradients)))
    assert_close(values, loops(*arguments), tolerance)
    leaves, tree = jax.tree.flatten(arguments)
    loss = lambda *leaves: weighted(loops(*jax.tree.unflatten(tree, leaves)))
    # One random direction for each array checks all of its elements.
    for k, leaf in enumerate(jax.tree.leaves(gradients)):
        directions = [np.zeros_like(a) for a in leaves]
        directions[k] = rng.standard_normal(leaves[k].shape)
        slope = oracle.slope(loss, leaves, directions)
        leaf = np.asarray(leaf, np.float64)
        scale = np.linalg.norm(leaf) * np.linalg.norm(directions[k])
        assert abs(np.vdot(leaf, directions[k]) - slope) < tolerance * scale


@pytest.mark.parametrize("reverse", [False, True])
@every_cell
def test_values_and_gradients_against_plain_loops(family, reverse, rng, small_blocks):
    compare_with_loops(family, jnp.float32, rng, 1e-5, reverse=reverse)


@every_cell
def test_bfloat16_with_a_state_in_float32(family, rng, small_blocks):
    compare_with_loops(family, jnp.bfloat16, rng, 0.02, reverse=True)


def test_float32_with_rounded_operands(rng, small_blocks, monkeypatch):
    """As on a TPU: only the weights, the state and the cotangents are rounded."""
    rounded = lambda w_hh, interpret: w_hh.astype(jnp.bfloat16)
    monkeypatch.setattr(passes, "_operand", rounded)
    with pytest.raises(AssertionError):
        compare_with_loops(GRU, jnp.float32, rng, 1e-4)
    compare_with_loops(GRU, jnp.float32, rng, 0.01)


@pytest.mark.parametrize("batch", [(), (1,), (2, 2)])
@every_cell
def test_batch_axes_and_time_first(family, batch, rng):
    params, x, state = as_float32(draw(family, rng, batch, 1 if batch == (1,) else T))
    if family is GRU:
        params = params._replace(b_hn=None)
    final, ys = run(family, params, jnp.moveaxis(x, -2, 0), state, time_major=True)
    expected = family.run(params, x, state, implementation="scan")
    assert_close((final, jnp.moveaxis(ys, 0, -2)), expected)


def test_more_steps_than_lanes(rng):
    params, x, state = as_float32(draw(RNN, rng, (2,), 131, 130))
    scan = {"lengths": np.array([131, 129]), "resets": rng.random((2, 131)) < 0.1}
    # The products are summed in another order, and the differences grow over time.
    params = params._replace(w_hh=0.05 * params.w_hh)
    ours = functools.partial(run, RNN, **scan)
    theirs = functools.partial(RNN.run, implementation="scan", **scan)
    arguments = params, x, state
    expected = values_and_gradients(theirs, *arguments)
    assert_close(values_and_gradients(ours, *arguments), expected)


def test_shard_map_on_two_devices(rng):
    arguments, scan = as_float32(draw(GRU, rng, (4,))), masks(rng, 4)

    def loss(params, x, state, scan):
        results = jax.tree.leaves(run(GRU, params, x, state, **scan))
        return sum(jnp.sum(a * a) for a in results)

    total = lambda *a: jax.lax.psum(loss(*a), "d")
    mesh = jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    shards = P(), P("d"), P("d"), P("d")
    sharded = jax.shard_map(total, mesh=mesh, in_specs=shards, out_specs=P())
    actual, expected = (
        jax.jit(jax.value_and_grad(f, (0, 1, 2)))(*arguments, scan)
        for f in (sharded, loss)
    )
    assert_close(actual, expected)


def test_second_order(rng):
    params, x, state = as_float32(draw(RNN, rng, (2,), 3))
    scan = masks(rng, 2, 3)

    def curvature(run):
        loss = lambda params: weighted(run(params, x, state, **scan)) ** 2
        slope = lambda params: weighted(jax.grad(loss)(params))
        return jax.jit(jax.grad(slope))(params)

    expected = curvature(functools.partial(RNN.run, implementation="scan"))
    assert_close(curvature(functools.partial(run, RNN)), expected)


def test_vmap(rng):
    # The interpreter of Mosaic does not know the additional axis of the grid.
    draws = [as_float32(draw(GRU, rng, (2,))) for _ in range(3)]
    params, x, state = jax.tree.map(lambda *a: jnp.stack(a), *draws)
    lengths = np.array([[5, 0], [2, 5], [1, 4]])
    one = lambda *a: run(GRU, *a[:3], lengths=a[3], interpret=True)
    actual = jax.jit(jax.vmap(one))(params, x, state, lengths)
    expected = jax.vmap(lambda *a: GRU.run(*a[:3], lengths=a[3]))
    assert_close(actual, expected(params, x, state, lengths))


def test_forward_mode_names_the_way_out(rng):
    params, x, state = as_float32(draw(RNN, rng, (2,)))
    by_kernels = lambda x: RNN.run(params, x, state, implementation="pallas")
    message = "'pallas' does not support forward mode"
    with interpreted(("tpu", True)), pytest.raises(TypeError, match=message):
        jax.jvp(by_kernels, (x,), (x,))


def candidate(params, x, platform="tpu", feature=None, **scan) -> Any:
    """Return why the kernels do not run, and whether their name forces them."""
    x = jnp.asarray(x)
    batch = batch_of(x, False)
    kernel, options = KERNELS["lstm"], parse_scan(x, batch, **scan)
    lead = x.shape[-2], *batch
    return kernel.candidate(platform, feature, params, x, lead, options)[1:]


def test_the_reasons_against_the_kernels(rng, monkeypatch):
    params, x, _ = as_float32(draw(LSTM, rng))
    untimed = "was not timed on this kind of device: runs only if it is named"
    assert candidate(params, x) == (untimed, True)
    assert "needs a TPU" in candidate(params, x, "cpu")[0]
    reasons = {
        "does not support `clip`": {"feature": "`clip`"},
        "does not support `checkpoint`": {"checkpoint": 2},
        "does not support `truncate`": {"truncate": 2},
    }
    for reason, given in reasons.items():
        assert candidate(params, x, **given) == (reason, False)
    none = "needs at least one step and one sequence"
    assert candidate(params, x[:, :0]) == (none, False)
    assert candidate(params, x[:0]) == (none, False)
    half = "supports float32 and bfloat16 only, not float16"
    assert candidate(params, np.float16(x)) == (half, False)
    large = params._replace(w_hh=jax.ShapeDtypeStruct((4096, 16384), jnp.float32))
    assert "of the 128 MiB of VMEM of a TPU" in candidate(large, x)[0]
    found = []
    measure(lambda w: found.append(candidate(params, x)) or jnp.sum(w), params.w_hh)
    assert set(found) == {
        ("does not support taps, which `measure` needs; 'split' does", False)
    }
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    kind = jax.devices()[0].device_kind
    assert (
        candidate(params, x)[0] == f"was not timed on {kind}: runs only if it is named"
    )
    module = "jaxnets.functional.recurrence.kernels.candidate"
    monkeypatch.setattr(f"{module}.TIMED_KINDS", {kind})
    assert "only inside `jax.shard_map`" in candidate(params, x)[0]
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    assert candidate(params, x) == (None, True)
    assert plan(F.lstm, params, x, platform="tpu").implementation == "pallas"


def test_sizes_that_fit_each_generation():
    fits: Any = functools.partial(blocks.fits, "lstm", 32)
    find: Any = chips.find_chip
    kinds = ["TPU v4", "TPU v5p", "TPU v5 lite", "TPU v6 lite", "TPU7x"]
    names = [find(kind).name for kind in kinds]
    assert names == ["TPU v4", "TPU v5p", "TPU v5e", "TPU v6e", "TPU 7x"]
    largest = {
        kind: max(h for h in range(128, 4097, 128) if not fits(h, "bfloat16", kind))
        for kind in kinds
    }
    # Each of these compiles for its chip.
    assert list(largest.values()) == [1024, 2560, 3840, 3840, 2560]
    reason = fits(1152, "bfloat16", "TPU v4")
    assert reason.startswith("needs 18 MiB of the 16 MiB of VMEM of a TPU v4, 11 of")
