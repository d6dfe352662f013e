"""The in-place loops: no copies, chunks, large states and second order."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F
from jaxnets.functional.recurrence.time.in_place import chunks
from jaxnets.functional.recurrence.time.in_place import scan as in_place_scan
from jaxnets.gradflow import measure
from tests.cells import FAMILIES, GRU, LSTM, RNN
from tests.functional.recurrence.setup import as_float32, draw_params, draw_state


every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
BATCH, TIME, FEATURES = 3, 5, 3
MASKS = {
    "lengths": np.array([5, 0, 3]),
    "resets": np.arange(BATCH * TIME).reshape(BATCH, TIME) % 4 == 2,
}


@every_family
@pytest.mark.parametrize("options", [{}, MASKS], ids=["plain", "masked"])
def test_no_step_copies_an_array_of_all_steps(family, options):
    """XLA copies such an array if a step may read a slot that it has written."""
    params = jax.eval_shape(
        lambda: draw_params(family, np.random.default_rng(0), FEATURES, 4)
    )
    params = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, np.float32), params)
    x = jax.ShapeDtypeStruct((BATCH, TIME, FEATURES), np.float32)
    ct_ys = jax.ShapeDtypeStruct((BATCH, TIME, 4), np.float32)

    @jax.jit
    def gradients(params, x, ct_ys):
        run = lambda *a: family.run(*a, implementation="in_place", **options)[1]
        ys, pullback = jax.vjp(run, params, x)
        return ys, pullback(ct_ys)

    program = gradients.lower(params, x, ct_ys).compile().as_text()
    assert program is not None
    loops, _, _ = program.partition("\nENTRY ")
    bodies = [body for body in loops.split("\n\n") if "dynamic-update-slice" in body]
    assert len(bodies) >= 2
    copies = rf"= f32\[({BATCH},{TIME}|{TIME},{BATCH}),\d+\]\S* copy\("
    assert not any(re.search(copies, body) for body in bodies)


@pytest.mark.parametrize(
    ("family", "time_major", "reverse", "options"),
    # All pairs of two values, and each family.
    [
        pytest.param(LSTM, False, False, {}, id="lstm-batch"),
        pytest.param(RNN, False, True, MASKS, id="rnn-batch-reverse-masked"),
        pytest.param(LSTM, True, False, MASKS, id="lstm-time-masked"),
        pytest.param(GRU, True, True, {}, id="gru-time-reverse"),
    ],
)
def test_several_chunks_give_the_same_as_one(
    family, options, reverse, time_major, rng, monkeypatch
):
    """Values, the gradient of each argument, and the statistics of each tap."""
    params, state = draw_params(family, rng), draw_state(family, rng, (BATCH,))
    x = rng.standard_normal((BATCH, TIME, FEATURES))
    if time_major:
        x, options = x.swapaxes(0, 1), options | {"time_major": True}
        options = {k: v.T if k == "resets" else v for k, v in options.items()}

    def loss(arguments):
        params, x, state = arguments
        final, ys = family.run(params, x, state, reverse=reverse, **options)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in (*jax.tree.leaves(final), ys))

    def flow(count):
        monkeypatch.setattr(in_place_scan, "chunk_count", lambda time: count)
        return jax.jit(lambda *a: measure(loss, a))(params, x, state)

    with jax.enable_x64(True):
        whole, parts = flow(1), flow(3)
        assert parts.taps["h"].norm.shape == (TIME,)
        jax.tree.map(
            lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-12, atol=1e-14),
            (parts.value, parts.grads, parts.taps),
            (whole.value, whole.grads, whole.taps),
        )


@pytest.mark.parametrize(
    ("time", "count"), [(1, 1), (31, 1), (32, 2), (64, 4), (95, 5), (5000, 6)]
)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_chunks_cover_all_steps_in_order(time, count, reverse):
    loops = chunks.Loops(0, reverse, 1, chunks.chunk_count(time))
    cut = chunks.chunks_in_order(loops, time)
    assert len(cut) == count
    assert min(stop - start for start, stop in cut) >= min(time, 16)
    steps = [list(range(*chunk))[:: -1 if reverse else 1] for chunk in cut]
    computed = [t for chunk in steps for t in chunk]
    assert computed == sorted(range(time), reverse=reverse)


@pytest.mark.parametrize(
    ("checkpoint", "steps"), [(None, {16}), (32, {3, 32})], ids=["whole", "segments"]
)
def test_chunks_without_but_not_within_segments(checkpoint, steps):
    """96 steps are six chunks, or three segments, each a loop within a loop."""
    params = F.init_rnn(jax.random.key(0), FEATURES, 4)
    how: dict[str, Any] = {"checkpoint": checkpoint, "implementation": "in_place"}
    run = lambda x: F.rnn(params, x, **how)[1]
    x, ct_ys = jnp.ones((BATCH, 96, FEATURES)), jnp.ones((BATCH, 96, 4))
    program = jax.make_jaxpr(lambda x: jax.vjp(run, x)[1](ct_ys))(x)
    lengths = re.findall(r"\blength=(\d+)", str(program))
    assert set(map(int, lengths)) == steps
    if checkpoint is None:
        assert len(lengths) == 2 * 6


@every_family
def test_a_state_with_a_transposed_product(family, rng):
    size = 520
    params = draw_params(family, rng, FEATURES, size)
    x = rng.standard_normal((BATCH, 2, FEATURES))
    loss = lambda *a, **how: jnp.sum(jnp.sin(family.run(*a, **how)[1]))
    gradient = lambda how: jax.grad(
        lambda *a: loss(*a, implementation=how), argnums=(0, 1)
    )(params, x)
    with jax.enable_x64(True):
        jax.tree.map(
            lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-12),
            gradient("in_place"),
            gradient("scan"),
        )


@pytest.mark.parametrize(
    ("family", "checkpoint"), [(LSTM, None), (RNN, 2)], ids=["lstm", "rnn-checkpoint"]
)
def test_second_order_through_a_scan_that_carries_the_state(family, checkpoint, rng):
    """Here JAX confused the residuals of a `custom_vjp` within another one."""
    params, x = as_float32(
        (draw_params(family, rng), rng.standard_normal((2, BATCH, TIME, FEATURES)))
    )
    start = family.run(params, x[0])[0]

    def loss(params, implementation):
        how = {"implementation": implementation, "checkpoint": checkpoint}
        run = lambda state, x: family.run(params, x, state, **MASKS, **how)
        return jnp.sum(jnp.sin(jax.lax.scan(run, start, x)[1]))

    def slope(params, implementation):
        gradient = jax.grad(loss)(params, implementation)
        return sum(jnp.sum(a**2) for a in jax.tree.leaves(gradient))

    second = jax.jit(jax.grad(slope), static_argnums=1)
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5),
        second(params, "in_place"),
        second(params, "scan"),
    )
