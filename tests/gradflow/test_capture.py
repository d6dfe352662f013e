"""Taps in layers, on several devices, in branches, and chosen by name."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F
from jaxnets.gradflow import measure, scope, tap
from tests.oracles import gradflow as oracle


def sharded(local, mesh, **options):
    """Sum what `local(w, x)` returns over two shards of `x`."""
    spec = jax.sharding.PartitionSpec
    total = lambda w, x: jax.lax.psum(local(w, x), "data")
    specs: dict[str, Any] = {"in_specs": (spec(), spec("data")), "out_specs": spec()}
    return jax.shard_map(total, mesh=mesh, **specs, **options)


def steps(w, x):
    """In this loop h_t = (1 + w x_t) h_{t-1}."""
    loop = lambda h, x_t: (h + x_t * tap(w * h, "h"), None)
    return jax.lax.scan(loop, jnp.ones(()) + 0.0 * x[0, 0], x[0])[0]


@pytest.mark.parametrize("check_vma", [True, False])
def test_shard_map_over_two_devices_gives_one_norm_for_each(check_vma):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    x = np.arange(1.0, 7.0, dtype=np.float32)
    local = lambda w, x: jnp.sum(x * tap(w * x, "product"))
    loss = sharded(local, mesh, check_vma=check_vma)
    flow = jax.jit(lambda w, x: measure(loss, w, x))(np.float32(2.0), x)
    # dL / d(w x_i) = x_i, three on each device; dL/dw is the sum of their squares.
    expected = [np.linalg.norm([1, 2, 3]), np.linalg.norm([4, 5, 6])]
    np.testing.assert_allclose(flow.taps["product"].norm, expected, rtol=1e-6)
    np.testing.assert_allclose(flow.grads, 91)
    loss = sharded(steps, mesh, check_vma=check_vma)
    flow = jax.jit(lambda w, x: measure(loss, w, x))(np.float32(2.0), x.reshape(2, 3))
    # dL / d(w h) = x_t dL/dh_t.
    expected = [[1 * 5 * 7, 2 * 7, 3], [4 * 11 * 13, 5 * 13, 6]]
    np.testing.assert_allclose(flow.taps["h"].norm, expected, rtol=1e-6)


@pytest.mark.parametrize(("outer", "time"), [(1, 1), (2, 3), (4, 1), (4, 2)])
def test_shard_map_between_two_loops(outer, time):
    """The axis of shards is between those of the loops, whatever their lengths."""
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    x = np.arange(1.0, 1 + 2 * time, dtype=np.float32).reshape(2, time)
    inner = sharded(steps, mesh)

    def loss(w):
        add = lambda total, scale: (total + scale * inner(w, x), None)
        return jax.lax.scan(add, 0.0, jnp.arange(1.0, 1 + outer))[0]

    @jax.jit
    def both(w):
        flows = measure(loss, w), measure(lambda w: inner(w, x), w)
        return [flow.taps["h"].norm for flow in flows]

    norms, single = both(np.float32(2.0))
    assert single.shape == (2, time)
    scales = np.arange(1.0, 1 + outer)[:, None, None]
    np.testing.assert_allclose(norms, scales * np.asarray(single), rtol=1e-6)


@pytest.mark.parametrize("check_vma", [True, False])
def test_measure_inside_shard_map_is_that_of_each_shard(check_vma):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec
    x = np.arange(1.0, 13.0, dtype=np.float32).reshape(2, 6)

    def norms(x):
        loss = lambda w: tap(steps(w, x), "last") ** 2
        taps = measure(loss, np.float32(2.0)).taps
        return jax.tree.map(lambda a: a[None], [taps["h"].norm, taps["last"].norm])

    sharded = jax.shard_map(
        norms,
        mesh=mesh,
        in_specs=spec("data"),
        out_specs=spec("data"),
        check_vma=check_vma,
    )
    of_time, last = jax.jit(sharded)(x)
    assert of_time.shape == (2, 6) and last.shape == (2,)
    expected = [norms(row[None]) for row in x]
    np.testing.assert_allclose(of_time, [e[0][0] for e in expected], rtol=1e-6)
    np.testing.assert_allclose(last, [e[1][0] for e in expected], rtol=1e-6)


def test_keys_of_earlier_traces_inside_another_function_are_in_order():
    f = jax.jit(lambda w: tap(2.0 * w, "f"))
    g = jax.jit(lambda w: tap(3.0 * w, "g"))
    measure(lambda w: jnp.sum(f(g(w))), jnp.ones(1))
    nested = jax.jit(lambda w: jnp.sum(tap(g(f(w)), "a")))
    for _ in range(2):
        assert list(measure(nested, jnp.ones(1)).taps) == ["f", "g", "a"]


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_recurrent_layers_give_the_adjoint_of_every_step(kind, rng):
    batch, time, features, hidden = 2, 5, 3, 4
    x = rng.normal(size=(batch, time, features)).astype(np.float32)
    weights = rng.normal(size=(batch, time, hidden)).astype(np.float32)
    params = getattr(F, f"init_{kind}")(jax.random.key(0), features, hidden)
    params = jax.tree.map(
        lambda p: p + 0.1 * rng.normal(size=p.shape).astype("f"), params
    )
    run, step = getattr(F, kind), getattr(F, f"{kind}_step")
    loss = lambda params, x: jnp.sum(weights * run(params, x)[1])
    flow = jax.jit(lambda *args: measure(loss, *args, only="h"))(params, x)

    zeros = jnp.zeros((batch, hidden))
    state = F.LSTMState(zeros, zeros) if kind == "lstm" else zeros
    steps = [lambda s, t=t: step(params, s, x[:, t])[0] for t in range(time)]
    above = [jnp.asarray(weights[:, t]) for t in range(time)]
    direct = [F.LSTMState(w, zeros) for w in above] if kind == "lstm" else above
    cotangents = jax.jit(lambda s: oracle.adjoint(steps, s, direct))(state)
    norms = [np.linalg.norm(jax.tree.leaves(each)[0]) for each in cotangents]
    np.testing.assert_allclose(flow.taps["h"].norm, norms, rtol=1e-5)


def test_only_inserts_the_taps_that_it_chooses():
    def loss(w):
        for name in ("encoder", "decoder"):
            with scope(name):
                w = tap(tap(w * 2.0, "h"), "c")
        return jnp.sum(tap(w, "h"))

    names = lambda only: list(measure(loss, jnp.ones(2), only=only).taps)
    assert names("*/h") == ["encoder/h", "decoder/h"]
    assert names(["h", "decoder/*"]) == ["decoder/h", "decoder/c", "h"]
    assert list(measure(loss, jnp.ones(2), only="h").responses) == ["h"]
    with pytest.raises(ValueError, match=r"`only` is 'x'.* encoder/h, encoder/c, dec"):
        measure(loss, jnp.ones(2), only="x")


def test_only_chooses_among_the_taps_of_a_derivative_by_hand(rng):
    params = F.init_lstm(jax.random.key(0), 3, 4)
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)

    def loss(x):
        with scope("layer"):
            (_, _), ys = F.lstm(params, x, implementation="in_place")
        return jnp.sum(tap(ys, "ys") ** 2)

    whole = measure(loss, x)
    some = measure(loss, x, only=["*/c", "*/f"])
    assert list(some.taps) == [name for name in whole.taps if name[-2:] in ("/c", "/f")]
    for name, stats in some.taps.items():
        jax.tree.map(np.testing.assert_array_equal, stats, whole.taps[name])
    assert list(measure(loss, x, only="ys").taps) == ["ys"]


def test_a_step_of_extreme_cotangents_does_not_change_other_norms(rng):
    # All taps of a derivative by hand share one test for extreme squares per step.
    params = F.init_lstm(jax.random.key(0), 3, 4)
    x = rng.normal(size=(2, 6, 3)).astype(np.float32)
    scales = np.array([1e-25, 1.0, 1e-25, 1e-3, 1e25, 1e-30], np.float32)

    @jax.jit
    def flow(scales):
        def loss(x):
            (_, _), ys = F.lstm(params, x, truncate=1, implementation="in_place")
            return jnp.sum(ys * scales[None, :, None])

        return measure(loss, x).taps

    usual = flow(np.ones(6, np.float32))
    for name, stats in flow(scales).items():
        np.testing.assert_allclose(stats.norm, usual[name].norm * scales, rtol=1e-5)


def test_a_tap_that_is_not_chosen_returns_its_very_argument():
    def loss(w):
        assert tap(w, "rest") is w
        assert tap(w, "chosen") is not w
        return jnp.sum(tap(w, "chosen"))

    measure(loss, jnp.ones(2), only="chosen")


def test_a_tap_in_a_branch_has_statistics_where_it_was_taken():
    def loss(w, flags):
        def step(w, flag):
            double = lambda w: tap(2.0 * w, "double")
            return jax.lax.cond(flag, double, lambda w: tap(w, "same"), w), None

        return jnp.sum(jax.lax.scan(step, w, flags)[0])

    flags = np.array([True, False, True])
    taps = jax.jit(lambda *args: measure(loss, *args).taps)(jnp.ones(1), flags)
    np.testing.assert_array_equal(taps["double"].norm, [2.0, np.nan, 1.0])
    np.testing.assert_array_equal(taps["same"].norm, [np.nan, 2.0, np.nan])


@pytest.mark.parametrize("residual", [False, True])
def test_convolutional_layers_give_the_adjoint_of_every_example(residual, rng):
    kernels = rng.normal(size=(3, 3, 3, 4, 4), scale=0.3).astype(np.float32)
    bias = rng.normal(size=4, scale=0.2).astype(np.float32)
    images = rng.normal(size=(3, 7, 5, 4)).astype(np.float32)

    def layers(kernels):
        relu = lambda k: lambda x: jax.nn.relu(F.conv(x, k, bias))
        block = lambda k: lambda x: x + relu(k)(x)
        first, *inner = [(block if residual else relu)(kernel) for kernel in kernels]
        return [first, lambda x: F.max_pool(x, 2, strides=1), *inner]

    def loss(kernels, images):
        def one(x):
            for layer in layers(kernels):
                x = tap(layer(x), "layer")
            return jnp.sum(jnp.sin(x))

        return jnp.sum(jax.vmap(one)(images))

    flow = jax.jit(lambda *args: measure(loss, *args))(kernels, images)
    chain = layers(kernels)

    @jax.jit
    def cotangents(x):
        y = x
        for layer in chain:
            y = layer(y)
        zeros = [jnp.zeros_like(x)] + [jnp.zeros_like(y)] * (len(chain) - 2)
        return oracle.adjoint(chain, x, [*zeros, jnp.cos(y)])

    norms = [[np.linalg.norm(np.ravel(c)) for c in cotangents(x)] for x in images]
    for number, expected in enumerate(np.transpose(norms), 1):
        name = "layer" if number == 1 else f"layer#{number}"
        np.testing.assert_allclose(flow.taps[name].norm, expected, rtol=1e-5)


def test_functions_traced_before_keep_names_and_order():
    f = jax.jit(lambda w: tap(2.0 * w, "h"))
    g = jax.jit(lambda w: tap(3.0 * w, "h"))
    losses = [
        lambda w: jnp.sum(g(f(w))),
        lambda w: jnp.sum(tap(f(g(tap(w, "h"))), "h")),
    ]
    # The cotangent at a tap is the product of the factors after it.
    for loss, expected in zip(losses * 2, [[3, 1], [6, 2, 1, 1]] * 2, strict=True):
        taps = measure(loss, jnp.ones(1)).taps
        assert [float(stats.norm) for stats in taps.values()] == expected
    traced = []
    inner = jax.jit(lambda w: (traced.append(1), tap(w, "w"))[1])
    whole = jax.jit(lambda w: jnp.sum(inner(w)))
    for _ in range(3):
        measure(whole, jnp.ones(2))
    assert len(traced) == 1


def test_statistics_far_from_one():
    x = np.array([1.0, -2.0, 4.0], np.float32)
    for scale in np.array([1e-30, 1e30], np.float32):
        forward = measure(lambda w: jnp.sum(tap(w, "w")), scale * x).responses["w"]
        np.testing.assert_allclose(forward.std, scale * x.std(), rtol=1e-5)
    with jax.enable_x64(True):
        loss = lambda w, x: jnp.sum(x * tap(w, "w"))
        for scale in (1e-200, 1e200):
            stats = measure(loss, np.ones(3), scale * x.astype(float)).taps["w"]
            np.testing.assert_allclose(stats.norm, scale * 21**0.5, rtol=1e-12)
            assert stats.zero_fraction == stats.nonfinite_fraction == 0
