"""`measure`: the gradient of JAX, and norms equal to those of explicit cotangents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import functional
from jaxnets.gradflow import measure, measure_module, scope, tap


def step(w_hh, h, x_t):
    return tap(jnp.tanh(h @ w_hh + x_t), "h")


def rnn_loss(w_hh, xs):
    h, _ = jax.lax.scan(
        lambda h, x_t: (step(w_hh, h, x_t), None), jnp.zeros_like(xs[0]), xs
    )
    return jnp.sum(h**2) + jnp.sum(h)


@pytest.fixture
def w_hh(rng):
    return rng.normal(size=(5, 5), scale=0.4).astype(np.float32)


@pytest.fixture
def xs(rng):
    return rng.normal(size=(7, 5)).astype(np.float32)


def rnn_norms(w_hh, xs):
    """Explicit backpropagation through time, in float64."""
    w_hh, xs = w_hh.astype(np.float64), xs.astype(np.float64)
    states = [np.zeros(xs.shape[1])]
    for x_t in xs:
        states.append(np.tanh(states[-1] @ w_hh + x_t))
    cotangent = 2 * states[-1] + 1
    norms = []
    for h in reversed(states[1:]):
        norms.append(np.linalg.norm(cotangent))
        cotangent = ((1 - h**2) * cotangent) @ w_hh.T
    return np.array(norms[::-1])


def assert_is_value_and_grad(flow, loss, *arguments):
    value, grads = jax.value_and_grad(loss)(*arguments)
    np.testing.assert_allclose(flow.value, value, rtol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        flow.grads,
        grads,
    )


def test_repeated_calls_that_are_not_jitted_compile_nothing(w_hh, xs):
    """Else each call takes seconds, and the memory of its programs is never freed."""
    inner = jax.jit(lambda w, x: tap(jnp.tanh(x @ w), "inner"))
    model = nnx.Linear(5, 5, rngs=nnx.Rngs(0))

    def loss(w, xs):
        return jnp.mean(inner(tap(2.0 * w, "first"), tap(jnp.tanh(xs @ w), "second")))

    apply = nnx.jit(lambda model, xs: model(xs))

    def measured():
        # A new function each time, as in a notebook.
        measure_module(lambda model, xs: jnp.mean(apply(model, xs)), model, xs)
        return list(measure(lambda *args: loss(*args), w_hh, xs).taps)

    compiled = []

    def listen(event, *_, **__) -> None:
        if "compile" in event:
            compiled.append(event)

    names = [measured(), measured()]
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        names += [measured() for _ in range(3)]
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert compiled == []
    assert names == [["first", "second", "inner"]] * 5


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_a_scan_gives_one_norm_per_step(transform, w_hh, xs):
    flow = transform(lambda w, xs: measure(rnn_loss, w, xs))(w_hh, xs)
    assert_is_value_and_grad(flow, rnn_loss, w_hh, xs)
    np.testing.assert_allclose(flow.taps["h"].norm, rnn_norms(w_hh, xs), rtol=1e-5)
    assert flow.aux is None


def test_every_statistic_against_an_explicit_cotangent(rng):
    x, w = rng.normal(size=(2, 3, 4)).astype(np.float32)

    def loss(w):
        return jnp.sum(jnp.maximum(tap(w * x, "product"), 0.0) ** 2)

    stats = measure(loss, w).taps["product"]
    cotangent = 2 * np.maximum(w * x, 0)
    np.testing.assert_allclose(stats.norm, np.linalg.norm(cotangent), rtol=1e-6)
    np.testing.assert_allclose(stats.max_abs, cotangent.max(), rtol=1e-6)
    np.testing.assert_allclose(stats.zero_fraction, (cotangent == 0).mean())
    assert stats.nonfinite_fraction == 0


def test_dead_units_of_every_step(xs):
    flow = measure(lambda x: jnp.sum(jax.vmap(lambda x: tap(x, "x"))(x)), xs)
    assert flow.responses["x"].dead_fraction.shape == (7,)
    alive = np.tril(np.ones((3, 4), np.float32))[:, None] * np.ones((3, 2, 1), "f")
    scan = lambda w: jax.lax.scan(lambda h, a: (h + tap(w * a, "a"), None), w, alive)
    flow = measure(lambda w: jnp.sum(scan(w)[0]), jnp.ones((2, 4)))
    np.testing.assert_allclose(flow.responses["a"].dead_fraction, [0.75, 0.5, 0.25])


def test_vmap_inside_the_loss_gives_one_norm_per_example(w_hh, rng):
    batch = rng.normal(size=(3, 7, 5)).astype(np.float32)

    def loss(w, batch):
        return jnp.sum(jax.vmap(lambda xs: rnn_loss(w, xs))(batch))

    norms = measure(loss, w_hh, batch).taps["h"].norm
    expected = np.stack([rnn_norms(w_hh, xs) for xs in batch])
    np.testing.assert_allclose(norms, expected.T, rtol=1e-5)


@pytest.mark.parametrize(
    ("implementation", "shape"),
    [("scan", (7, 3)), ("split", (3, 7)), ("in_place", (3, 7))],
)
def test_the_axes_of_a_recurrence_under_vmap(implementation, shape):
    """The docstring says which is first; JAX puts that of a `custom_vjp` there."""
    params = functional.init_rnn(jax.random.key(0), 5, 5)

    def loss(params, batch):
        run = lambda xs: functional.rnn(params, xs, implementation=implementation)[1]
        return jnp.sum(jax.vmap(run)(batch))

    flow = jax.eval_shape(lambda p: measure(loss, p, jnp.ones((3, 7, 5))), params)
    assert flow.taps["h"].norm.shape == shape
    assert flow.responses["h"].mean.shape == shape


def test_vmap_outside_gives_one_flow_per_seed(xs, rng):
    weights = rng.normal(size=(3, 5, 5), scale=0.4).astype(np.float32)
    flows = jax.jit(jax.vmap(lambda w: measure(rnn_loss, w, xs)))(weights)
    expected = np.stack([rnn_norms(w, xs) for w in weights])
    np.testing.assert_allclose(flows.taps["h"].norm, expected, rtol=1e-5)
    assert flows.grads.shape == (3, 5, 5)


def test_nested_scans_give_both_axes(w_hh, rng):
    xs = rng.normal(size=(6, 5)).astype(np.float32)

    def loss(w, segments):
        def segment(h, xs):
            return jax.lax.scan(lambda h, x_t: (step(w, h, x_t), None), h, xs)

        h, _ = jax.lax.scan(segment, jnp.zeros(5), segments)
        return jnp.sum(h**2) + jnp.sum(h)

    norms = measure(loss, w_hh, xs.reshape(2, 3, 5)).taps["h"].norm
    np.testing.assert_allclose(norms, rnn_norms(w_hh, xs).reshape(2, 3), rtol=1e-5)


@pytest.mark.parametrize("around", ["step", "loss"])
def test_remat_changes_nothing(around, w_hh, xs):
    def checkpointed(w, xs):
        body = jax.checkpoint(lambda h, x_t: (step(w, h, x_t), None))
        h, _ = jax.lax.scan(body, jnp.zeros(5), xs)
        return jnp.sum(h**2) + jnp.sum(h)

    loss = checkpointed if around == "step" else jax.checkpoint(rnn_loss)
    flow = jax.jit(lambda w, xs: measure(loss, w, xs))(w_hh, xs)
    np.testing.assert_allclose(flow.taps["h"].norm, rnn_norms(w_hh, xs), rtol=1e-5)


def test_shard_map_gives_one_norm_per_shard(w_hh, xs):
    spec = jax.sharding.PartitionSpec
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def loss(w_hh, xs):
        return jax.shard_map(
            lambda w, xs: jax.lax.psum(rnn_loss(w, xs[0]), "data"),
            mesh=mesh,
            in_specs=(spec(), spec("data")),
            out_specs=spec(),
        )(w_hh, xs)

    flow = jax.jit(lambda w, xs: measure(loss, w, xs))(w_hh, xs[None])
    norms = flow.taps["h"].norm.ravel()
    np.testing.assert_allclose(norms, rnn_norms(w_hh, xs), rtol=1e-5)


def test_a_function_compiled_before_still_shows_its_taps(w_hh, xs):
    loss = jax.jit(rnn_loss)
    loss(w_hh, xs)
    jax.grad(loss)(w_hh, xs)
    norms = measure(loss, w_hh, xs).taps["h"].norm
    np.testing.assert_allclose(norms, rnn_norms(w_hh, xs), rtol=1e-5)
    # Measuring does not change the cached program: forward mode still works.
    assert jax.jvp(lambda w: loss(w, xs), (w_hh,), (w_hh,))[1].shape == ()


def test_aux_comes_back_beside_the_value(w_hh, xs):
    loss = lambda w, xs: (rnn_loss(w, xs), {"mean": jnp.mean(xs)})
    flow = jax.jit(lambda w, xs: measure(loss, w, xs, has_aux=True))(w_hh, xs)
    np.testing.assert_allclose(flow.aux["mean"], xs.mean(), rtol=1e-5)
    assert_is_value_and_grad(flow, rnn_loss, w_hh, xs)


def test_params_of_any_structure(rng):
    params = {"w": rng.normal(size=(3, 2)).astype(np.float32), "b": (np.ones(2, "f"),)}
    loss = lambda p: jnp.sum(jnp.sin(tap(p["w"], "w") + p["b"][0][None]))
    assert_is_value_and_grad(measure(loss, params), loss, params)


def test_a_tap_that_the_gradient_does_not_reach_is_left_out():
    def loss(w):
        tap(w * 2.0, "unused")
        return jnp.sum(tap(w, "used"))

    taps = measure(loss, jnp.ones(2)).taps
    assert "used" in taps
    assert all(stats.norm == 0 for name, stats in taps.items() if name == "unused")


def test_measuring_costs_only_the_scalars(rng):
    """The cotangents would take `time * batch * hidden` floats."""
    time, batch, hidden = 200, 16, 32
    w_hh = rng.normal(size=(hidden, hidden), scale=0.1).astype(np.float32)
    xs = rng.normal(size=(time, batch, hidden)).astype(np.float32)

    def temporary_bytes(function):
        analysis = jax.jit(function).lower(w_hh, xs).compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    plain = temporary_bytes(jax.value_and_grad(rnn_loss))
    measured = temporary_bytes(lambda w, xs: measure(rnn_loss, w, xs))
    # Twelve statistics a step, and the working space of the sums of one step.
    assert measured - plain <= 12 * 4 * time + 4 * 4 * batch * hidden


def test_responses_are_statistics_of_the_forward_pass(rng):
    w = rng.normal(size=(3, 4)).astype(np.float32)
    w[:, 1], w[0, 2] = -1.0, 2.0
    flow = measure(lambda w: jnp.sum(tap(jnp.maximum(w, 0.0), "relu")), w)
    stats = flow.responses["relu"]
    expected = np.maximum(w, 0)
    np.testing.assert_allclose(stats.mean, expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(stats.std, expected.std(), rtol=1e-6)
    np.testing.assert_allclose(stats.max_abs, expected.max(), rtol=1e-6)
    np.testing.assert_allclose(stats.zero_fraction, (expected == 0).mean())
    np.testing.assert_allclose(stats.saturated_fraction, (expected > 0.97).mean())
    assert stats.saturated_fraction > 0
    assert stats.dead_fraction == (expected == 0).all(0).mean() > 0
    assert stats.nonfinite_fraction == 0


@pytest.mark.parametrize(
    "loss", [lambda w: w, lambda w: jnp.zeros((), jnp.int32)], ids=["vector", "integer"]
)
def test_a_loss_that_is_not_a_real_scalar(loss):
    with pytest.raises(TypeError, match=r"`loss` returned .* wanted one real number"):
        measure(loss, jnp.ones(3))


def test_a_trace_used_twice_is_an_error_unless_in_scopes():
    double = jax.jit(lambda w: tap(w * 2.0, "w"))

    def twice(w):
        return jnp.sum(double(double(w)))

    with pytest.raises(ValueError, match=r"called more than once.*scope"):
        measure(twice, jnp.ones(2))

    def apart(w):
        for name in ("first", "second"):
            with scope(name):
                w = double(w)
        return jnp.sum(w)

    assert list(measure(apart, jnp.ones(2)).taps) == ["first/w", "second/w"]


def test_other_errors_of_the_loss_pass_unchanged():
    def loss(w):
        raise ValueError("the user's own")

    with pytest.raises(ValueError, match="the user's own"):
        measure(loss, jnp.ones(2))
