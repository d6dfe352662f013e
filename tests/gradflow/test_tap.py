"""`tap`: names and scopes, the numbers of a summary, and no cost unless measured."""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F
from jaxnets.gradflow import ResponseStats, measure, scope, tap
from jaxnets.tap import primitive, taps


def tanh_rnn(w_hh, xs, tapped=True):
    def step(h, x_t):
        h = jnp.tanh(h @ w_hh + x_t)
        return tap(h, "h") if tapped else h, None

    h, _ = jax.lax.scan(step, jnp.zeros_like(xs[0]), xs)
    return jnp.sum(h**2)


@pytest.fixture
def rnn_arguments(rng):
    w_hh = rng.normal(size=(5, 5), scale=0.4).astype(np.float32)
    return w_hh, rng.normal(size=(7, 3, 5)).astype(np.float32)


def hlo(function, *arguments):
    """The compiled program as text, without source positions."""
    text = jax.jit(function).lower(*arguments).compile().as_text() or ""
    assert "ENTRY" in text
    text = re.sub(r"metadata={[^}]*}", "", text)
    # Newer versions print tables of source positions first.
    text = re.sub(
        r"(?m)^(FileNames|FunctionNames|FileLocations|StackFrames)$", "", text
    )
    return re.sub(r'(?m)^\d+ ("|{).*$', "", text)


def test_without_measure_a_tap_returns_its_very_argument():
    x = jnp.ones(3)
    assert tap(x, "x") is x


def test_an_unmeasured_tap_compiles_to_the_program_without_it(rnn_arguments):
    gradient = lambda tapped: jax.grad(lambda w, xs: tanh_rnn(w, xs, tapped))
    assert hlo(gradient(True), *rnn_arguments) == hlo(gradient(False), *rnn_arguments)


@pytest.mark.parametrize("implementation", ["split", "in_place"])
def test_responses_that_are_not_used_are_not_computed(
    implementation, rnn_arguments, monkeypatch
):
    w_hh, xs = jnp.ones((5, 20)), rnn_arguments[1]

    def loss(w_hh, xs):
        params = F.LSTMParams(jnp.eye(5, 20), w_hh, jnp.zeros(20))
        return jnp.sum(F.lstm(params, xs, implementation=implementation)[1] ** 2)

    def program(read):
        return hlo(lambda *args: read(measure(loss, *args)), w_hh, xs)

    norm = lambda flow: flow.taps["h"].norm
    both = lambda flow: (norm(flow), flow.responses["h"])
    norm_alone, with_responses = program(norm), program(both)
    nothing = ResponseStats(*[jnp.zeros(())] * 8)
    for module in (primitive, taps):
        monkeypatch.setattr(module, "summarise_response", lambda *_: nothing)
    assert program(norm) == norm_alone
    assert program(both).count("reduce(") < with_responses.count("reduce(")


def test_forward_mode_and_second_order_pass_through_unmeasured_taps(rnn_arguments):
    w_hh, xs = rnn_arguments
    for transform in (jax.jacfwd, jax.hessian):
        tapped = jax.jit(transform(lambda w: tanh_rnn(w, xs, True)))
        plain = jax.jit(transform(lambda w: tanh_rnn(w, xs, False)))
        np.testing.assert_array_equal(tapped(w_hh), plain(w_hh))


@pytest.mark.parametrize(
    ("x", "name", "error", "message"),
    [
        (1.0, 3, TypeError, "`name` is of type int; wanted the name"),
        (1.0, None, TypeError, "`name` is of type NoneType; wanted the name"),
        (1.0, "", ValueError, "`name` is empty; wanted the name"),
        ([1.0], "h", TypeError, "`x` is of type list; wanted an array"),
        (None, "h", TypeError, "`x` is of type NoneType; wanted an array"),
        ("h", jnp.ones(2), TypeError, "`x` is of type str; wanted an array"),
    ],
)
def test_a_wrong_argument_of_a_tap_is_named(x, name, error, message):
    # Without the check of annotations, which would be first.
    call = lambda _: inspect.unwrap(tap)(x, name)
    for run in (call, functools.partial(measure, call)):
        with pytest.raises(error, match=message):
            run(jnp.ones(()))


def test_a_scope_without_a_name_is_an_error():
    with pytest.raises(ValueError, match="`name` is empty"), scope(""):
        pass


@pytest.mark.parametrize(
    "transform",
    [jax.grad, jax.jacfwd, jax.jacrev, lambda f: lambda x: jax.linearize(f, x)[1](x)],
    ids=["grad", "jacfwd", "jacrev", "linearize"],
)
def test_a_tap_inside_an_inner_derivative_has_the_outer_cotangent(transform):
    x = jnp.arange(1.0, 4.0)

    def loss(w, offset=None):
        def inner(x):
            y = w * x
            y = tap(y, "y") if offset is None else y + offset
            return jnp.sum(jnp.tanh(y) ** 3)

        return jnp.sum(transform(inner)(x) ** 2)

    w, zeros = np.float32(0.5), jnp.zeros(3)
    flow = jax.jit(lambda w: measure(loss, w))(w)
    value, (slope, cotangent) = jax.value_and_grad(loss, (0, 1))(w, zeros)
    np.testing.assert_allclose(flow.value, value, rtol=1e-5)
    np.testing.assert_allclose(flow.grads, slope, rtol=1e-5)
    np.testing.assert_allclose(
        flow.taps["y"].norm, np.linalg.norm(cotangent), rtol=1e-5
    )


def test_a_tap_that_is_recomputed_inside_an_inner_derivative_is_named():
    body = jax.checkpoint(lambda w: jnp.tanh(tap(2.0 * w, "twice")) ** 2)

    def loss(w):
        value, slope = jax.value_and_grad(lambda w: body(tap(w, "w")))(w)
        return tap(3.0 * w, "after") + value + slope**2

    with pytest.warns(UserWarning, match=r"The taps w, twice are inside .*checkpoint"):
        flow = measure(loss, jnp.float32(0.3))
    np.testing.assert_allclose(flow.grads, jax.grad(loss)(0.3), rtol=1e-5)
    assert list(flow.taps) == ["after"]


def test_layers_with_a_backward_pass_of_their_own_inside_a_derivative(rnn_arguments):
    xs = rnn_arguments[1][:2]
    params = F.RNNParams(jnp.eye(5), 0.3 * jnp.ones((5, 5)), jnp.zeros(5))

    def norms(implementation):
        def energy(xs):
            _, ys = F.rnn(params, xs, implementation=implementation)
            return jnp.sum(tap(ys, "ys") ** 2)

        loss = lambda xs: jnp.sum(jax.grad(energy)(xs) ** 2)
        measured = jax.jit(lambda xs: measure(loss, xs).taps)(xs)
        return {name: stats.norm for name, stats in measured.items()}

    with pytest.warns(UserWarning, match="The taps h are inside a derivative"):
        in_place = norms("in_place")
    split, plain = norms("split"), norms("scan")
    assert list(split) == list(plain) == ["h", "ys"] and list(in_place) == ["ys"]
    for name, expected in plain.items():
        np.testing.assert_allclose(split[name], expected, rtol=1e-4, atol=1e-5)


def test_second_order_through_a_measured_program(rnn_arguments):
    w_hh, xs = rnn_arguments
    measured = jax.jit(jax.jacrev(lambda w: measure(tanh_rnn, w, xs).grads))(w_hh)
    expected = jax.jit(jax.hessian(lambda w: tanh_rnn(w, xs, False)))(w_hh)
    np.testing.assert_allclose(measured, expected, rtol=1e-4, atol=1e-5)


def test_names_repeat_with_numbers_in_the_order_of_the_calls():
    def loss(w):
        for factor in (2.0, 3.0, 5.0):
            w = tap(w * factor, "w")
        return jnp.sum(w)

    taps = measure(loss, jnp.ones(1)).taps
    assert list(taps) == ["w", "w#2", "w#3"]
    assert [float(taps[name].norm) for name in taps] == [15.0, 5.0, 1.0]


def test_scopes_nest_and_count_their_names_apart():
    def loss(w):
        with scope("encoder"):
            with scope("first"):
                w = tap(w, "h")
            w = tap(w, "h")
        return jnp.sum(tap(w, "h"))

    assert list(measure(loss, jnp.ones(1)).taps) == [
        "encoder/first/h",
        "encoder/h",
        "h",
    ]


def test_a_scope_closes_when_its_block_raises():
    def loss(w):
        try:
            with scope("broken"):
                raise KeyError
        except KeyError:
            return jnp.sum(tap(w, "w"))

    assert list(measure(loss, jnp.ones(1)).taps) == ["w"]


def test_a_scope_without_measure_does_nothing():
    with scope("anything"):
        x = jnp.ones(2)
        assert tap(x, "x") is x


def test_integers_pass_without_a_tap():
    def loss(w, index):
        return jnp.sum(tap(w, "w")[tap(index, "index")])

    flow = measure(loss, jnp.ones(3), jnp.array([0, 2]))
    assert list(flow.taps) == ["w"]


@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e-10, 1.0, 1e10, 1e30])
def test_the_norm_is_right_over_the_whole_range_of_float32(scale):
    cotangent = np.array([3.0, -4.0, 0.0, 12.0], np.float32) * np.float32(scale)
    flow = measure(lambda w: jnp.sum(tap(w, "w") * cotangent), jnp.ones(4))
    stats = flow.taps["w"]
    np.testing.assert_allclose(stats.norm, 13.0 * scale, rtol=1e-5)
    np.testing.assert_allclose(stats.max_abs, 12.0 * scale, rtol=1e-6)
    assert stats.zero_fraction == 0.25
    assert stats.nonfinite_fraction == 0.0


def test_a_zero_cotangent_has_norm_zero():
    stats = measure(lambda w: jnp.sum(tap(w, "w") * 0.0), jnp.ones(4)).taps["w"]
    assert (stats.norm, stats.max_abs, stats.zero_fraction) == (0.0, 0.0, 1.0)


def test_nonfinite_values_are_counted():
    cotangent = np.array([np.nan, np.inf, 1.0, -np.inf], np.float32)
    stats = measure(lambda w: jnp.sum(tap(w, "w") * cotangent), jnp.ones(4)).taps["w"]
    assert stats.nonfinite_fraction == 0.75
    assert not np.isfinite(stats.norm)


def test_bfloat16_is_summed_in_float32():
    # A bfloat16 sum of ones stops growing at 256.
    w = jnp.ones(10_000, jnp.bfloat16)
    flow = measure(lambda w: jnp.sum(tap(w, "w").astype(jnp.float32)), w)
    stats = flow.taps["w"]
    assert {leaf.dtype for leaf in stats} == {jnp.dtype(jnp.float32)}
    np.testing.assert_allclose(stats.norm, 100.0, rtol=1e-6)
    assert flow.grads.dtype == jnp.bfloat16


def test_the_statistics_of_an_empty_array():
    stats = measure(lambda w: jnp.sum(tap(w, "w")) + 1.0, jnp.ones((0, 3))).taps["w"]
    assert (stats.norm, stats.max_abs) == (0.0, 0.0)
