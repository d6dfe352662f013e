"""`solve_in_parallel` against plain loops: values, derivatives, certificates."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional import recur, solve_in_parallel
from jaxnets.gradflow import measure, tap
from tests.cells import GRU, LSTM, RNN
from tests.functional.recurrence.setup import draw_params, draw_state
from tests.oracles import recurrent as oracle


TIME = 5
assert_close = functools.partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-11)


def leaky(h, x_t):
    h = 0.5 * h + x_t
    return h, h


def tanh_step(w):
    def step(h, x_t):
        h = jnp.tanh(h @ w + x_t)
        return h, h

    return step


def loop(step, state, x):
    """Compute the steps in Python; `x` is `(batch, time, features)`."""
    ys = []
    for t in range(x.shape[1]):
        state, y = step(state, x[:, t])
        ys.append(y)
    return state, jnp.stack(ys, 1)


def chunked(step, state, x, **options):
    return solve_in_parallel(step, state, x, **options)[:2]


def loss_of(run, family):
    """Return a nonlinear function of the final state and all outputs."""

    def loss(params, state, x):
        step = lambda h, x_t: family.step(params, h, x_t)
        leaves = jax.tree.leaves(run(step, state, x))
        return sum(jnp.sum(jnp.sin((k + 1) * a)) for k, a in enumerate(leaves))

    return loss


@pytest.mark.parametrize("family", [RNN, GRU, LSTM], ids=lambda f: f.name)
def test_values_and_derivatives_of_cells(family, rng):
    params, state = draw_params(family, rng), draw_state(family, rng, (2,))
    x = rng.standard_normal((2, TIME, 3))
    with jax.enable_x64(True):
        step = functools.partial(family.step, params)
        final, ys, found = solve_in_parallel(step, state, x, chunks=3)
        expected = oracle.run(family.oracle_step, params, x, state)
        jax.tree.map(
            assert_close,
            (*jax.tree.leaves(final), ys),
            (
                *jax.tree.leaves(expected[0]),
                expected[1],
            ),
        )
        assert found.residual <= 1e-12 and found.sweeps <= 2 and not found.fell_back

        arrays = jax.tree.map(jnp.asarray, (params, state, x))
        along = jax.tree.map(
            lambda a: jnp.cos(jnp.arange(a.size)).reshape(a.shape), arrays
        )

        def derivatives(run):
            gradient = jax.grad(loss_of(run, family), (0, 1, 2))
            if family is not RNN:
                return jax.jit(gradient)(*arrays)
            square = lambda *a: sum(
                jnp.sum(g**2) for g in jax.tree.leaves(gradient(*a))
            )
            every = lambda *a: (
                jax.jvp(gradient, a, along),
                jax.jvp(loss_of(run, family), a, along),
                jax.grad(square, (0, 1, 2))(*a),
            )
            return jax.jit(every)(*arrays)

        actual = derivatives(functools.partial(chunked, chunks=3))
        jax.tree.map(assert_close, actual, derivatives(loop))


@pytest.mark.parametrize(
    ("time", "chunks"), [(7, None), (7, 1), (7, 7), (7, 9), (8, 4), (1, 3), (0, 2)]
)
def test_any_division_of_time(time, chunks, rng):
    h, w = rng.standard_normal((2, 3)), rng.standard_normal((3, 3))
    x = rng.standard_normal((time, 2, 3))

    def run(function, h, x, **options):
        answer = function(tanh_step(w), h, x, time_major=True, **options)[:2]
        assert answer[1].shape == x.shape
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in answer)

    with jax.enable_x64(True):
        gradient = lambda *a, **o: jax.value_and_grad(run, (1, 2))(*a, h, x, **o)
        actual = gradient(solve_in_parallel, chunks=chunks)
        jax.tree.map(assert_close, actual, gradient(recur))


def test_states_may_have_integers_and_keys():
    def step(state, x_t):
        h, count, key = state
        key = jax.random.fold_in(key, 1)
        h = jnp.tanh(0.5 * h + x_t + jax.random.normal(key, h.shape))
        return (h, count + 1, key), {"h": h, "count": count}

    x = jnp.linspace(-1.0, 1.0, 2 * TIME * 3).reshape(2, TIME, 3)
    start = jnp.zeros((2, 3)), jnp.zeros(2, jnp.int32), jax.random.key(0)
    final, ys, found = solve_in_parallel(step, start, x, chunks=3)
    jax.tree.map(
        np.testing.assert_array_equal,
        (final[1], jax.random.key_data(final[2]), ys["count"]),
        (
            (TIME,) * 2,
            jax.random.key_data(recur(step, start, x)[0][2]),
            [range(TIME)] * 2,
        ),
    )
    assert found.sweeps == 2  # A counter needs them all.

    def loss(function, x):
        return jnp.sum(function(step, start, x)[1]["h"] ** 2)

    actual = jax.grad(lambda x: loss(functools.partial(chunked, chunks=3), x))(x)
    np.testing.assert_allclose(actual, jax.grad(lambda x: loss(recur, x))(x), atol=1e-5)


@pytest.mark.parametrize("max_sweeps", [None, 1, 2])
@pytest.mark.parametrize("name", ["gain 3", "forget bias 3"])
def test_a_state_that_is_not_forgotten_ends_in_the_answer_of_a_loop(
    name, max_sweeps, rng
):
    x = 0.3 * rng.standard_normal((2, 30, 3))
    if name == "gain 3":
        w = 3.0 * np.linalg.qr(rng.standard_normal((3, 3)))[0]
        step, state = tanh_step(w), np.zeros((2, 3))
    else:
        params = draw_params(LSTM, rng, hidden=3)
        params = params._replace(b=np.repeat([0.0, 3.0, 0.0, 0.0], 3))
        step = functools.partial(LSTM.step, params)
        state = draw_state(LSTM, rng, (2,), hidden=3)
    with jax.enable_x64(True):
        options = {"chunks": 6, "max_sweeps": max_sweeps}
        final, ys, found = jax.jit(
            lambda x: solve_in_parallel(step, state, x, **options)
        )(x)
        jax.tree.map(assert_close, (final, ys), recur(step, state, x))
        assert found.sweeps == (max_sweeps or 5)
        assert found.fell_back == (max_sweeps is not None)
        assert found.error_bound == 0


def test_the_certificate_of_a_state_that_is_forgotten():
    x = np.linspace(1.0, 2.0, 60).reshape(1, 60, 1)
    with jax.enable_x64(True):
        start = jnp.zeros((1, 1))
        exact, _ = recur(leaky, start, x)
        final, _, found = solve_in_parallel(leaky, start, x, chunks=12, tolerance=1e-3)
        assert not found.fell_back and 2 <= found.sweeps < 11
        assert 0 < found.residual <= 1e-3
        # A step of `leaky` halves an error.
        np.testing.assert_allclose(found.exponent, np.log(0.5), rtol=0.02)
        error = np.max(np.abs(final - exact)) / np.max(exact)
        assert error <= found.error_bound <= 1e-3


@pytest.mark.parametrize("factors", [[1.0, 1e-4, 1e4, 1.0], [1.0, 1e4, 1e-4, 1.0]])
def test_one_small_change_is_not_convergence(factors):
    # Each chunk has one step. What one nearly forgets, the next multiplies: values and
    # tangents with the first factors, cotangents with the second.
    options = {"chunks": 4, "tolerance": 1e-2}
    factors = jnp.array(factors)[:, None]

    def final(function, start, **options):
        step = lambda h, a: (h * a + 1e-3, h)
        return function(step, start, factors, time_major=True, **options)[0]

    run = functools.partial(final, solve_in_parallel, **options)
    start, loop = jnp.ones(1), functools.partial(final, recur)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-6),
        (jax.jvp(run, (start,), (start,)), jax.jacrev(run)(start)),
        (jax.jvp(loop, (start,), (start,)), jax.jacrev(loop)(start)),
    )


def test_rounding_is_not_taken_for_growth():
    # After the first step the state changes between two numbers that nearly agree.
    near = 0.5 + 2e-7
    step = lambda h, _: (jnp.where(h == 0.5, near, 0.5), h)
    options = {"chunks": 6, "time_major": True}
    found = solve_in_parallel(step, jnp.ones(1), jnp.ones((6, 1)), **options)[2]
    assert found.sweeps == 3 and 0 < found.residual < 1e-6
    np.testing.assert_allclose(found.error_bound, found.residual, rtol=1e-5)
    assert found.exponent < -10


def test_nan_is_not_convergence():
    x = jnp.ones((1, 12, 1)).at[0, 4].set(jnp.nan)
    for max_sweeps in (None, 2):
        options = {"chunks": 4, "max_sweeps": max_sweeps}
        final, ys, found = solve_in_parallel(leaky, jnp.zeros((1, 1)), x, **options)
        np.testing.assert_array_equal(ys, recur(leaky, jnp.zeros((1, 1)), x)[1])
        assert np.isnan(final).all() and np.isnan(found.residual)
        assert found.fell_back == (max_sweeps is not None)


def test_padding_has_no_derivatives_of_its_own():
    # With an input of 0, the derivative by the state would be 0 / 0.
    step = lambda h, x_t: (jnp.sqrt(h * x_t), h)
    start, x = jnp.ones(1), jnp.arange(1.0, 8.0)[:, None]

    def gradient(function, **options):
        run = lambda *a: function(step, *a, time_major=True, **options)[1]
        return jax.grad(lambda *a: jnp.sum(run(*a)), (0, 1))(start, x)

    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5),
        gradient(solve_in_parallel, chunks=3),
        gradient(recur),
    )


def test_sixteen_bits_and_resets_in_the_step():
    def step(h, inputs):
        x_t, resets_t = inputs
        h = jnp.tanh(0.5 * jnp.where(resets_t, 0, h) + x_t)
        return h, h

    x = jnp.linspace(-1.0, 1.0, 40).reshape(1, 40, 1)
    resets = (jnp.arange(40) % 9 == 0)[None, :, None]
    for dtype, atol in ((jnp.float32, 1e-6), (jnp.bfloat16, 0.02)):
        inputs, start = (x.astype(dtype), resets), jnp.zeros((1, 1), dtype)
        final, ys, found = solve_in_parallel(step, start, inputs, chunks=5)
        expected = recur(step, start, inputs)
        assert (final.dtype, ys.dtype) == (dtype, dtype)
        assert found.residual.dtype == jnp.float32
        for actual, wanted in zip((final, ys), expected, strict=True):
            np.testing.assert_allclose(
                actual.astype(float), wanted.astype(float), atol=atol
            )


def test_under_vmap_each_element_has_its_certificate():
    def run(gain):
        step = lambda h, x_t: (jnp.tanh(gain * h + x_t), h)
        x = jnp.sin(jnp.arange(24.0)).reshape(1, 24, 1)
        return solve_in_parallel(step, jnp.ones((1, 1)), x, chunks=4, max_sweeps=2)

    gains = jnp.array([0.0, 1.0])
    final, _, found = jax.vmap(run)(gains)
    np.testing.assert_array_equal(found.fell_back, [False, True])
    for k, gain in enumerate(gains):
        np.testing.assert_allclose(final[k], run(gain)[0], rtol=1e-6)


def test_a_tap_in_the_step_records_what_it_does_in_recur():
    def taps(function):
        def loss(x):
            step = lambda h, x_t: leaky(tap(h, "h"), x_t)
            return jnp.sum(function(step, jnp.zeros((1, 1)), x)[0] ** 2)

        return measure(loss, jnp.ones((1, 9, 1))).taps["h"]

    jax.tree.map(np.testing.assert_array_equal, taps(solve_in_parallel), taps(recur))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"chunks": 0}, ValueError, "`chunks` is 0; wanted 1 or more"),
        ({"chunks": 2.0}, TypeError, "`chunks` is 2.0; wanted an int"),
        ({"max_sweeps": 0}, ValueError, "`max_sweeps` is 0; wanted 1 or more"),
        ({"tolerance": 1.0}, ValueError, "`tolerance` is 1.0; wanted a number from 0"),
        ({"tolerance": "1"}, TypeError, "`tolerance` is '1'; wanted a number from 0"),
        ({"time_major": 1}, TypeError, "`time_major` is 1; wanted True or False"),
    ],
)
def test_errors_name_the_option(options, error, message):
    # Without the type checks of annotations, which the tests enable.
    run = inspect.unwrap(solve_in_parallel)
    with pytest.raises(error, match=message):
        run(leaky, jnp.zeros((2, 1)), jnp.ones((2, 4, 1)), **options)


def test_errors_name_the_step_and_the_inputs():
    h, x = jnp.zeros((2, 1)), jnp.ones((2, 4, 1))
    with pytest.raises(TypeError, match="`step` is 3; wanted a function"):
        inspect.unwrap(solve_in_parallel)(3, h, x)  # pyright: ignore
    with pytest.raises(
        TypeError, match="`step` returns a state with an array of shape"
    ):
        solve_in_parallel(lambda h, x_t: (h[..., 0], x_t), h, x)
    with pytest.raises(ValueError, match="`xs` has no arrays"):
        solve_in_parallel(leaky, h, None)
    with pytest.raises(ValueError, match="`xs` has an array of shape"):
        solve_in_parallel(leaky, h, (x, x[:, :2]))
    with pytest.raises(
        ValueError, match="`xs` has the symbol n for the number of steps"
    ):
        shape = jax.export.symbolic_shape("2, n, 1")
        spec = jax.ShapeDtypeStruct(shape, jnp.float32)
        jax.export.export(jax.jit(lambda x: solve_in_parallel(leaky, h, x)))(spec)
