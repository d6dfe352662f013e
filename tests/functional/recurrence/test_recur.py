"""`recur` with custom steps, scan options, taps, and error messages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional import gru_step, init_gru, recur
from jaxnets.functional.recurrence.time.options import parse_scan
from jaxnets.gradflow import measure
from tests.cells import FAMILIES, GRU, LSTM, RNN
from tests.functional.recurrence.setup import as_float32, draw_params, draw_state
from tests.oracles import recurrent as oracle


every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)


def total(state, x_t):
    state = state + x_t
    return state, state


def count(state, x_t):
    """A step whose state and input are pytrees, with an array of integers."""
    value = state["value"] * x_t["decay"] + x_t["input"]
    return {"value": value, "steps": state["steps"] + 1}, {"twice": 2.0 * value}


def test_states_inputs_and_outputs_can_be_pytrees():
    xs = {"decay": jnp.full((2, 3, 1), 0.5), "input": jnp.ones((2, 3, 2))}
    state = {"value": jnp.zeros((2, 2)), "steps": jnp.zeros((2, 1), jnp.int32)}
    state, ys = recur(count, state, xs, lengths=np.array([3, 0]))
    np.testing.assert_array_equal(state["steps"][:, 0], [3, 0])
    np.testing.assert_array_equal(state["value"][:, 0], [1.75, 0.0])
    np.testing.assert_array_equal(ys["twice"][..., 0], [[2.0, 3.0, 3.5], [0, 0, 0]])


def test_time_major_accepts_any_feature_axes():
    xs = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    lengths = np.array([2, 3], np.uint8)
    state, _ = recur(total, jnp.zeros((2, 2)), xs, lengths=lengths, time_major=True)
    np.testing.assert_array_equal(state, [[4.0, 6.0], [18.0, 21.0]])
    state, ys = recur(total, jnp.zeros(()), np.ones(4, np.float32), time_major=True)
    np.testing.assert_array_equal(ys, [1.0, 2.0, 3.0, 4.0])


def test_with_reverse_outputs_have_the_order_of_inputs():
    x = np.ones((2, 4, 1), np.float32)
    lengths = np.array([4, 2])
    state, ys = recur(total, jnp.zeros((2, 1)), x, lengths=lengths, reverse=True)
    np.testing.assert_array_equal(ys[..., 0], [[4, 3, 2, 1], [2, 1, 0, 0]])
    np.testing.assert_array_equal(state[:, 0], [4, 2])


def test_resets_return_to_the_initial_state_and_its_gradient():
    x = np.ones((1, 4, 1), np.float32)
    resets = np.array([[False, False, True, False]])

    def final(start):
        return recur(total, start, x, resets=resets)[0].sum()

    value, slope = jax.value_and_grad(final)(jnp.full((1, 1), 10.0))
    assert (value, slope[0, 0]) == (12.0, 1.0)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_step_can_mask_arbitrary_steps(reverse, rng):
    params, h = draw_params(GRU, rng), draw_state(GRU, rng, (3,))
    x, seen = rng.standard_normal((3, 6, 3)), rng.random((3, 6)) < 0.6
    weights = rng.standard_normal((3, 6, 2))

    def masked(w_hh, x):
        def step(h, inputs):
            x_t, seen_t = inputs
            after, _ = gru_step(params._replace(w_hh=w_hh), h, x_t)
            h = jnp.where(seen_t, after, h)
            return h, h

        return recur(step, jnp.asarray(h), (x, seen[..., None]), reverse=reverse)[1]

    def loops(w_hh, x):
        """Compute the observed steps only; the others repeat the state."""
        ys = np.zeros((3, 6, 2))
        for n in range(3):
            current = h[n]
            for t in reversed(range(6)) if reverse else range(6):
                if seen[n, t]:
                    replaced = params._replace(w_hh=w_hh)
                    current, _ = oracle.gru_step(replaced, current, x[n, t])
                ys[n, t] = current
        return ys

    with jax.enable_x64(True):
        np.testing.assert_allclose(
            masked(params.w_hh, x), loops(params.w_hh, x), atol=1e-12
        )
        loss = lambda *arrays: (weights * masked(*arrays)).sum()
        actual = jax.grad(loss, argnums=(0, 1))(jnp.asarray(params.w_hh), x)
    expected = oracle.gradient(lambda *a: (weights * loops(*a)).sum(), [params.w_hh, x])
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, atol=1e-7), list(actual), expected
    )
    np.testing.assert_array_equal(actual[1][~seen], 0.0)


@pytest.mark.parametrize("options", [{}, {"checkpoint": "sqrt"}, {"unroll": 3}])
def test_no_steps_return_the_initial_state(options):
    start = jnp.full((2, 1), 3.0)
    state, ys = recur(total, start, jnp.zeros((2, 0, 1)), **options)
    np.testing.assert_array_equal(state, start)
    assert ys.shape == (2, 0, 1)


@every_family
def test_values_at_padding_have_no_effect(family, rng):
    params, state, x = as_float32(
        (
            draw_params(family, rng),
            draw_state(family, rng, (2,)),
            rng.standard_normal((2, 4, 3)),
        )
    )
    lengths = np.array([3, 0])
    with_nan = np.where(np.arange(4)[:, None] < lengths[:, None, None], x, np.nan)

    def loss(params, x, state):
        final, ys = family.run(params, x, state, lengths=lengths)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves((final, ys)))

    gradient = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
    clean, dirty = gradient(params, x, state), gradient(params, with_nan, state)
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)
    final, ys = family.run(params, with_nan, state, lengths=lengths)
    assert not np.any(ys[1])
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[1], b[1]), final, state)


@every_family
@pytest.mark.parametrize("batch", [(), (2, 3), (0,)], ids=str)
def test_any_number_of_batch_axes(family, batch, rng):
    params = as_float32(draw_params(family, rng))
    x = as_float32(rng.standard_normal((*batch, 4, 3)))
    lengths = np.full(batch, 3)
    state, ys = family.run(params, x, lengths=lengths)
    assert ys.shape == (*batch, 4, 2)
    assert {leaf.shape for leaf in jax.tree.leaves(state)} == {(*batch, 2)}
    rows = x.reshape(-1, 4, 3)
    for row, y in zip(rows, ys.reshape(-1, 4, 2), strict=True):
        expected = family.run(params, row, lengths=np.array(3))[1]
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@every_family
def test_the_result_has_the_promoted_dtype(family, rng):
    params = as_float32(draw_params(family, rng))
    x = jnp.ones((2, 3, 3), jnp.bfloat16)
    with jax.numpy_dtype_promotion("standard"):
        state, ys = family.run(params, x)
        assert {a.dtype for a in jax.tree.leaves((state, ys))} == {jnp.dtype("float32")}
        assert family.run(params, np.ones((3, 3), int))[1].dtype == jnp.float32


def test_checkpoint_stores_no_copy_of_a_whole_sequence():
    """Not of `x`, `ys` or their cotangents, which have the batch first."""
    params = jax.eval_shape(lambda key: init_gru(key, 16, 16), jax.random.key(0))
    # The last segment is shorter.
    shapes = params, jax.ShapeDtypeStruct((4, 2003, 16), np.float32)

    def temporary(checkpoint):
        @jax.jit
        def gradients(params, x, ct_ys):
            lengths = jnp.full(4, 1999)
            run = lambda *a: GRU.run(*a, lengths=lengths, checkpoint=checkpoint)[1]
            ys, pullback = jax.vjp(run, params, x)
            return ys, pullback(ct_ys)

        compiled = gradients.lower(*shapes, shapes[1]).compile()
        analysis = compiled.memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    assert temporary("sqrt") < min(shapes[1].size * 4, temporary(None) / 10)


def adjoint(family, params, x, state, weights, reverse):
    """Return the norms of the total dL/dh_t, by a loop over the pullbacks of steps."""
    order = range(x.shape[1])[:: -1 if reverse else 1]
    pullbacks = []
    for t in order:
        step = lambda s, t=t: family.step(params, s, x[:, t])[0]
        state, pullback = jax.vjp(step, state)
        pullbacks.append((t, pullback))
    cotangent, norms = jax.tree.map(jnp.zeros_like, state), {}
    for t, pullback in reversed(pullbacks):
        if family is LSTM:
            cotangent = cotangent._replace(h=cotangent.h + weights[:, t])
            h_cotangent = cotangent.h
        else:
            h_cotangent = cotangent = cotangent + weights[:, t]
        norms[t] = jnp.linalg.norm(h_cotangent)
        (cotangent,) = pullback(cotangent)
    return [norms[t] for t in range(x.shape[1])]


@every_family
@pytest.mark.parametrize(
    ("implementation", "reverse"),
    [("in_place", False), ("in_place", True), ("split", False), ("scan", True)],
)
def test_the_tap_of_h_records_the_total_cotangent(family, implementation, reverse, rng):
    params, state, x, weights = as_float32(
        (
            draw_params(family, rng),
            draw_state(family, rng, (2,)),
            rng.standard_normal((2, 5, 3)),
            rng.standard_normal((2, 5, 2)),
        )
    )
    options = {"reverse": reverse, "implementation": implementation}
    run = lambda p: (family.run(p, x, state, **options)[1] * weights).sum()
    taps = jax.jit(lambda p: measure(run, p).taps)(params)
    expected = adjoint(family, params, x, state, weights, reverse)
    np.testing.assert_allclose(taps["h"].norm, expected, rtol=1e-5)
    assert set(taps) == set(family.cell.taps)


@pytest.mark.parametrize("implementation", ["split", "scan"])
def test_the_tap_of_c_comes_after_zoneout(implementation, rng):
    params, x = as_float32((draw_params(LSTM, rng), rng.standard_normal((5, 3))))
    zoneout = (0.3, 0.5)

    def stepwise(probes):
        state, cs = LSTM.cell.state(jnp.zeros(2), jnp.zeros(2)), []
        for x_t, probe in zip(x, probes, strict=True):
            state, _ = LSTM.step(params, state, x_t, zoneout=zoneout)
            state = state._replace(c=state.c + probe)
            cs.append(state.c)
        return state.c.sum(), jnp.stack(cs)

    cotangents, cs = jax.jit(jax.grad(stepwise, has_aux=True))(jnp.zeros((5, 2)))
    options = {"zoneout": zoneout, "implementation": implementation}
    run = lambda p: LSTM.run(p, x, **options)[0].c.sum()
    flow = jax.jit(lambda p: measure(run, p)[3:])(params)
    for stats, expected in zip(flow, (cotangents, cs), strict=True):
        peak = np.abs(expected).max(axis=-1)
        np.testing.assert_allclose(stats["c"].max_abs, peak, rtol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_taps_of_segments_are_those_of_all_steps(reverse, rng):
    params, x = as_float32((draw_params(RNN, rng), rng.standard_normal((2, 5, 3))))
    loss = lambda p, **o: RNN.run(p, x, reverse=reverse, **o)[1].sum()
    plain = measure(loss, params).taps["h"].norm
    taps = measure(lambda p: loss(p, checkpoint=2), params).taps
    parts = [taps["h"].norm.reshape(4), taps["rest/h"].norm]
    joined = jnp.concatenate(parts[::-1] if reverse else parts)
    np.testing.assert_allclose(joined, plain, rtol=1e-5)


@every_family
def test_no_cotangent_reaches_padding(family, rng):
    params, state, x = as_float32(
        (
            draw_params(family, rng),
            draw_state(family, rng, (2,)),
            rng.standard_normal((2, 5, 3)),
        )
    )
    lengths = np.array([3, 2])
    loss = lambda p: family.run(p, x, state, lengths=lengths)[1].sum()
    for stats in measure(loss, params).taps.values():
        assert np.all(stats.norm[:3] > 0) and not np.any(stats.norm[3:])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"lengths": np.ones(2)}, TypeError, "`lengths` has dtype float64; wanted int"),
        ({"lengths": np.ones(3, int)}, ValueError, r"`lengths` has shape \(3,\); wan"),
        ({"resets": np.ones((2, 4), int)}, TypeError, "`resets` has dtype int64; want"),
        (
            {"resets": np.ones((4, 2), bool)},
            ValueError,
            r"`resets` has shape \(4, 2\); wanted \(2, 4\)",
        ),
        ({"unroll": 0}, ValueError, "`unroll` is 0; wanted 1 or more: the steps"),
        ({"checkpoint": "log"}, ValueError, "`checkpoint` is 'log'; wanted None"),
        ({"checkpoint": -1}, ValueError, "`checkpoint` is -1; wanted 1 or more"),
        ({"truncate": True}, TypeError, "`truncate` is True; wanted an int: the steps"),
    ],
)
def test_error_messages_of_scan_options(options, error, text, rng):
    with pytest.raises(error, match=text):
        recur(total, jnp.zeros((2, 3)), np.ones((2, 4, 3), np.float32), **options)
    with pytest.raises(error, match=text):
        RNN.run(draw_params(RNN, rng), np.ones((2, 4, 3)), **options)


@pytest.mark.parametrize("name", ["unroll", "checkpoint", "truncate"])
@pytest.mark.parametrize("value", [2.0, True])
def test_numbers_of_steps_are_ints(name, value):
    # Without the type checks of `recur`, which the tests enable.
    with pytest.raises(
        TypeError, match=f"`{name}` is {value}; wanted an int: the steps"
    ):
        parse_scan(jnp.ones((2, 4, 3)), (2,), **{name: value})


def test_error_messages_of_recur():
    x, h = jnp.ones((2, 4, 3)), jnp.zeros((2, 3))
    with pytest.raises(ValueError, match="`xs` has no arrays"):
        recur(total, h, None)
    with pytest.raises(ValueError, match=r"shape \(4,\); wanted \(\*batch, time, feat"):
        recur(total, h, jnp.ones(4))
    with pytest.raises(ValueError, match=r"`xs` has .* \(2, 5, 3\); .* \(2, 4\)"):
        recur(lambda h, x: (h, x[0]), h, (x, jnp.ones((2, 5, 3))))
    with pytest.raises(ValueError, match=r"`xs` has arrays of .* and \(2, 4\)"):
        recur(lambda h, x: (h, x[0]), h, (x, jnp.ones((2, 4))))
    with pytest.raises(ValueError, match=r"`step` returns .* of shape \(\); wanted"):
        recur(lambda h, x_t: (h, jnp.sum(x_t)), h, x)
    with pytest.raises(ValueError, match=r"`state` has .* shape \(\); .* = \(2,\)"):
        recur(total, jnp.zeros(()), x, lengths=np.array([1, 2]))
