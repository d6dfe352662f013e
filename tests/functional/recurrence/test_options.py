"""Cell options, truncation, clipping of cotangents, and the choice of a loop."""

import copy
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

import jaxnets
from jaxnets.functional import LayerNormParams, lstm, recur, rnn
from tests.cells import FAMILIES, GRU, LSTM, RNN
from tests.functional.recurrence.setup import as_float32, draw_params, draw_state
from tests.oracles import recurrent as oracle


every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
both = pytest.mark.parametrize("implementation", ["scan", "split"])


def drawn(family, rng, time=5):
    return (
        draw_params(family, rng),
        rng.standard_normal((2, time, 3)),
        draw_state(family, rng, (2,)),
    )


def gains(family, rng):
    normal = lambda size: 1 + 0.3 * rng.standard_normal(size)
    wide = 2 * family.gates
    sizes = {"gain_h": wide, "gain_x": wide, "gain_c": 2, "bias_c": 2}
    return LayerNormParams(**{name: normal(sizes[name]) for name in family.cell.norms})


def compare(family, arguments, ours, theirs, implementation):
    """Compare values, and the derivative along one direction of all parameters."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        run = lambda *a: family.run(*a, implementation=implementation, **ours)
        state, ys = jax.jit(run)(*arguments)
        weights = rng.standard_normal(ys.shape)
        loss = lambda *a: jnp.vdot(run(*a)[1], weights)
        gradients = jax.jit(jax.grad(loss, (0, 1, 2)))(*arguments)
    plain = lambda *a: oracle.run(family.oracle_step, *a, **theirs)
    expected_state, expected = plain(*arguments)
    np.testing.assert_allclose(ys, expected, atol=1e-9)
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, atol=1e-9),
        tuple(jax.tree.leaves(state)),
        tuple(jax.tree.leaves(expected_state)),
    )
    leaves, tree = jax.tree.flatten(arguments)
    directions = [rng.standard_normal(leaf.shape) for leaf in leaves]
    value = lambda *a: np.vdot(plain(*jax.tree.unflatten(tree, a))[1], weights)
    slope = oracle.slope(value, leaves, directions)
    actual = sum(
        np.vdot(g, d)
        for g, d in zip(jax.tree.leaves(gradients), directions, strict=True)
    )
    np.testing.assert_allclose(actual, slope, atol=1e-6)


@every_family
@both
def test_layer_norm_against_plain_loops(family, implementation, rng):
    norms = gains(family, rng)
    compare(
        family,
        drawn(family, rng),
        {"layer_norm": norms},
        {"layer_norm": norms},
        implementation,
    )


@both
def test_layer_norm_with_the_reset_before_the_product(implementation, rng):
    norms = gains(GRU, rng)
    cell = {"layer_norm": norms, "reset_after": False}
    compare(GRU, drawn(GRU, rng), cell, cell, implementation)


@every_family
@both
def test_zoneout_without_a_key_mixes_by_its_rates(family, implementation, rng):
    rates = (0.3, 0.2) if family is LSTM else 0.3
    compare(
        family,
        drawn(family, rng),
        {"zoneout": rates},
        {"zoneout": rates},
        implementation,
    )


@every_family
@both
def test_recurrent_dropout_with_a_given_mask(family, implementation, rng):
    mask = np.array([[2.0, 0.0], [0.5, 1.0]])
    ours, theirs = {"recurrent_dropout": mask}, {"dropout_mask": mask}
    compare(family, drawn(family, rng), ours, theirs, implementation)


@both
@pytest.mark.parametrize(
    ("family", "cell"),
    [(RNN, {}), (GRU, {"reset_after": False}), (LSTM, {})],
    ids=["rnn", "gru-reset-before", "lstm"],
)
def test_a_given_mask_has_derivatives(family, cell, implementation, rng):
    """Of both orders, against finite differences."""
    arguments = drawn(family, rng, time=3)
    resets = np.array([[False, False, True], [False, True, False]])
    options = {"resets": resets, "implementation": implementation} | cell
    with jax.enable_x64(True):
        run = lambda mask: family.run(*arguments, recurrent_dropout=mask, **options)[1]
        mask = np.array([[2.0, 0.0], [0.5, 1.0]])
        check_grads(jax.jit(run), (mask,), order=2, modes=["rev"])


@both
def test_a_given_mask_of_booleans(implementation, rng):
    arguments, mask = as_float32(drawn(RNN, rng)), np.array([[1, 0], [0, 1]])

    def gradients(mask):
        loss = lambda *arrays: rnn(
            *arrays, recurrent_dropout=mask, implementation=implementation
        )[1].sum()
        return jax.tree.leaves(jax.jit(jax.grad(loss))(*arguments))

    numbers = gradients(mask.astype(np.float32))
    for actual, expected in zip(gradients(mask > 0), numbers, strict=True):
        np.testing.assert_array_equal(actual, expected)


@every_family
def test_zoneout_keeps_units_at_its_rate(family, rng):
    params, x, state = as_float32(drawn(family, rng, time=200))
    _, ys = family.run(params, x, state, zoneout=0.3, key=jax.random.key(0))
    share = np.mean(np.asarray(ys)[:, 1:] == np.asarray(ys)[:, :-1])
    assert 0.25 < share < 0.35


@every_family
def test_dropout_draws_one_mask_for_all_steps(family, rng):
    params, x, state = as_float32(drawn(family, rng))
    key = jax.random.key(3)
    run = lambda **o: family.run(params, x, state, **o)[1]
    with_mask = jax.jit(lambda mask: run(recurrent_dropout=mask))
    drawn_by_key = run(recurrent_dropout=0.5, key=key)
    masks = [np.array(m, np.float32).reshape(2, 2) for m in np.ndindex(2, 2, 2, 2)]
    matches = [
        np.allclose(drawn_by_key, with_mask(2 * mask), atol=1e-6) for mask in masks
    ]
    assert sum(matches) == 1
    np.testing.assert_array_equal(run(recurrent_dropout=0.5), run())


@every_family
@pytest.mark.parametrize("reverse", [False, True])
def test_truncation_stops_the_state_between_windows(family, reverse, rng):
    params, x, state = as_float32(drawn(family, rng))
    lengths = np.array([5, 4])

    def truncated(params, x, state, implementation):
        state, ys = family.run(
            params,
            x,
            state,
            lengths=lengths,
            truncate=2,
            reverse=reverse,
            implementation=implementation,
        )
        return jnp.sum(jnp.sin(ys)) + sum(map(jnp.sum, jax.tree.leaves(state)))

    def windows(params, x, state):
        """The definition: one call for each step, the state cut between windows."""
        total = 0.0
        for n, length in enumerate(lengths):
            own = jax.tree.map(lambda s, n=n: s[n], state)
            order = range(length)[:: -1 if reverse else 1]
            for count, t in enumerate(order):
                if count and count % 2 == 0:
                    own = jax.lax.stop_gradient(own)
                own, y_t = family.step(params, own, x[n, t])
                total += jnp.sum(jnp.sin(y_t))
            total += sum(map(jnp.sum, jax.tree.leaves(own)))
        return total

    expected = jax.jit(jax.grad(windows, (0, 1, 2)))(params, x, state)
    gradients = jax.jit(jax.grad(truncated, (0, 1, 2)), static_argnums=3)
    for implementation in ("scan", "split"):
        jax.tree.map(
            lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5),
            gradients(params, x, state, implementation),
            expected,
        )


@both
def test_cotangents_are_clipped_at_every_step(implementation, rng):
    x = as_float32(rng.standard_normal((1, 4, 3)))
    params = as_float32(draw_params(RNN, rng))
    weights = as_float32(10 * rng.standard_normal((1, 4, 2)))
    run = lambda x: rnn(params, x, clip_cotangent=0.5, implementation=implementation)[1]
    (gradient,) = jax.jit(lambda x, w: jax.vjp(run, x)[1](w))(x, weights)
    ys = np.asarray(run(x))[0]
    ct, expected = np.zeros(2), np.zeros((4, 3))
    for t in reversed(range(4)):
        da = np.clip(ct + weights[0, t], -0.5, 0.5) * (1 - ys[t] ** 2)
        expected[t], ct = da @ params.w_xh.T, da @ params.w_hh.T
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-4, atol=1e-5)


def test_recur_clips_the_cotangents_of_each_step():
    double = lambda h, x_t: (2.0 * h + x_t, h)
    run = lambda x: recur(double, jnp.zeros(1), x, clip_cotangent=3.0, time_major=True)
    gradient = jax.grad(lambda x: run(x)[0].sum())(jnp.ones((4, 1)))
    np.testing.assert_array_equal(gradient[:, 0], [3.0, 3.0, 2.0, 1.0])


def test_parameters_that_an_activation_closes_over_have_gradients(rng):
    params, x, _ = as_float32(drawn(LSTM, rng))

    def loss(slope, implementation):
        leaky = lambda a: jnp.where(a > 0, a, slope * a)
        return lstm(params, x, activation=leaky, implementation=implementation)[1].sum()

    scan, split = (
        jax.grad(lambda slope, i=i: loss(slope, i))(0.3) for i in ("scan", "split")
    )
    np.testing.assert_allclose(split, scan, rtol=1e-5)
    assert scan != 0


@every_family
def test_vmap_of_gradients_over_examples_and_parameters(family, rng):
    params, x, _ = as_float32(drawn(family, rng))
    stacked = jax.tree.map(lambda a: np.stack([a, 0.5 * a]), params)

    def gradient(params, x, implementation):
        loss = lambda p, x: jnp.sum(
            family.run(p, x, implementation=implementation)[1] ** 2
        )
        return jax.grad(loss, (0, 1))(params, x)

    results = [
        jax.jit(jax.vmap(lambda p, x, i=i: gradient(p, x, i)))(stacked, x)
        for i in ("scan", "split", "in_place")
    ]
    jax.tree.map(
        lambda e, *a: np.testing.assert_allclose(a, [e, e], rtol=1e-4, atol=1e-5),
        *results,
    )


def test_a_callable_that_cannot_be_hashed_is_an_activation(rng):
    class Activation:
        __hash__ = None  # pyright: ignore

        def __call__(self, a):
            return jnp.tanh(a)

    params, x, _ = as_float32(drawn(RNN, rng))
    plan = jaxnets.plan(rnn, params, x, activation=Activation())
    assert plan.implementation == "split"
    expected = rnn(params, x)[1]
    for implementation in ("split", "scan"):
        _, ys = rnn(params, x, activation=Activation(), implementation=implementation)
        np.testing.assert_allclose(ys, expected, rtol=1e-6)


@jax.jit
@functools.wraps(jnp.tanh)
def doubled(a):
    return 2 * a


@jax.custom_jvp
@functools.wraps(jax.nn.relu)
def named_relu(a):
    return jnp.maximum(a, 0.1)


named_relu.defjvps(lambda t, y, a: t)


@pytest.mark.parametrize(
    ("activation", "implementation"),
    [
        (jnp.tanh, "in_place"),
        (jax.nn.tanh, "in_place"),
        (jax.nn.sigmoid, "in_place"),
        (jax.nn.relu, "in_place"),
        (jnp.sin, "split"),
        (doubled, "split"),
        (named_relu, "split"),
    ],
)
def test_a_copy_has_the_plan_of_the_original(rng, activation, implementation):
    params, x, _ = as_float32(drawn(RNN, rng))
    run = functools.partial(rnn, activation=activation)
    for same in (run, copy.deepcopy(run), copy.deepcopy(copy.deepcopy(run))):
        assert jaxnets.plan(same, params, x).implementation == implementation
    expected = run(params, x, implementation="scan")[1]
    np.testing.assert_allclose(copy.deepcopy(run)(params, x)[1], expected, rtol=1e-6)


@every_family
def test_a_copied_layer_has_the_plan_of_the_original(family):
    layer = family.layer(3, 2, rngs=nnx.Rngs(0))
    x = jnp.ones((2, 5, 3))
    assert jaxnets.plan(copy.deepcopy(layer), x) == jaxnets.plan(layer, x)


FORWARD_MODE = {
    "jvp": lambda f, x: jax.jvp(f, (x,), (x,)),
    "jvp of jit": lambda f, x: jax.jvp(jax.jit(f), (x,), (x,)),
    "jacfwd": lambda f, x: jax.jacfwd(jax.jit(f))(x),
    "linearize": lambda f, x: jax.linearize(jax.jit(f), x)[1](x),
    "vmap": lambda f, x: jax.vmap(lambda t: jax.jvp(jax.jit(f), (x,), (t,)))(x[None]),
    "checkpoint": lambda f, x: jax.jvp(jax.checkpoint(f), (x,), (x,)),
    "scan": lambda f, x: jax.jvp(
        lambda x: jax.lax.scan(lambda _, x: (None, f(x)), None, x[None]), (x,), (x,)
    ),
}


@pytest.mark.parametrize("transform", FORWARD_MODE.values(), ids=FORWARD_MODE)
def test_the_error_of_forward_mode_names_the_option(rng, transform):
    params, x, _ = as_float32(drawn(RNN, rng))
    for implementation in ("in_place", "split"):
        run = functools.partial(rnn, params, implementation=implementation)
        with pytest.raises(TypeError, match="implementation='scan'"):
            transform(run, x)
    step = lambda h, x_t: (h, x_t)
    for run in (
        lambda x: rnn(params, x, clip_cotangent=1.0, implementation="scan"),
        lambda x: recur(step, x[:, 0], x, clip_cotangent=1.0),
    ):
        with pytest.raises(TypeError, match=r"`clip_cotangent` is 1\.0"):
            transform(run, x)


def test_plan_names_the_implementation_and_reasons(rng):
    params, x, _ = as_float32(drawn(RNN, rng))
    plan = jaxnets.plan(rnn, params, x)
    assert plan.implementation == "in_place"
    assert "preferred" in plan.others["scan"]
    for options, reason in (
        ({"clip": 1.0}, "does not support `clip`"),
        (
            {"activation": jnp.sin},
            "does not support `activation` other than tanh, sigmoid and relu",
        ),
        ({"layer_norm": True}, "does not support `layer_norm`"),
        ({"clip_cotangent": 1.0}, "does not support `clip_cotangent`"),
    ):
        plan = functools.partial(jaxnets.plan, **options)(rnn, params, x)
        assert plan.implementation == "split"
        assert plan.others["in_place"] == reason
    narrow = jax.tree.map(lambda a: a.astype("bfloat16"), (params, x))
    assert "float32 and float64" in jaxnets.plan(rnn, *narrow).others["in_place"]
    assert (
        jaxnets.plan(rnn, params, x[:, :0]).others["in_place"]
        == "needs at least one step"
    )
    with pytest.raises(ValueError, match="`implementation` is 'fast'; wanted None or"):
        rnn(params, x, implementation="fast")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"zoneout": 1.0}, ValueError, "`zoneout` is 1.0; wanted a probability"),
        (
            {"recurrent_dropout": -0.1},
            ValueError,
            "`recurrent_dropout` is -0.1; wanted",
        ),
        (
            {"recurrent_dropout": np.ones(3)},
            ValueError,
            r"`recurrent_dropout` has shape \(3,\); wanted \(2, 2\)",
        ),
        (
            {"layer_norm": LayerNormParams(np.ones(3))},
            ValueError,
            r"`layer_norm.gain_h` has shape \(3,\); wanted \(2,\)",
        ),
        (
            {"layer_norm": LayerNormParams(np.ones(2), np.ones(2))},
            ValueError,
            "`layer_norm.gain_x` is an array; wanted None for this cell",
        ),
        ({"truncate": 0}, ValueError, "`truncate` is 0; wanted 1 or more: the steps"),
        ({"clip_cotangent": 0.0}, ValueError, "`clip_cotangent` is 0.0; wanted a posi"),
    ],
)
def test_error_messages(options, error, text, rng):
    with pytest.raises(error, match=text):
        rnn(draw_params(RNN, rng), np.ones((2, 4, 3)), **options)


def test_a_float64_mask_does_not_change_the_dtype(rng):
    params, x, _ = as_float32(drawn(RNN, rng))
    _, ys = rnn(params, x, recurrent_dropout=np.ones((2, 2)), implementation="split")
    assert ys.dtype == jnp.float32
