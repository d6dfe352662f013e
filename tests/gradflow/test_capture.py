"""What taps capture: the adjoint of a recurrence, each device's share, by choice."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F
from jaxnets.gradflow import measure, responses, scope, tap
from tests.oracles import gradflow as oracle


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jaxnets.gradflow import measure, tap
spec, x = jax.sharding.PartitionSpec, np.arange(1.0, 7.0, dtype=np.float32)
mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
def local(w, x):
    return jax.lax.psum(jnp.sum(x * tap(w * x, "product")), "data")
def loss(w, x):
    in_specs = (spec(), spec("data"))
    return jax.shard_map(local, mesh=mesh, in_specs=in_specs, out_specs=spec())(w, x)
flow = jax.jit(lambda w, x: measure(loss, w, x))(np.float32(2.0), x)
print(len(jax.devices()), *flow.taps["product"].norm.ravel(), flow.grads)
"""


def test_shard_map_over_two_devices_gives_one_norm_for_each():
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    command = [sys.executable, "-c", SHARDED]
    answer = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    devices, *numbers = map(float, answer.stdout.split())
    assert devices == 2
    # dL / d(w x_i) = x_i, three on each device; dL/dw is the sum of their squares.
    expected = [np.linalg.norm([1, 2, 3]), np.linalg.norm([4, 5, 6]), 91]
    np.testing.assert_allclose(numbers, expected, rtol=1e-6)


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
    assert list(responses(loss, jnp.ones(2), only="h")) == ["h"]
    with pytest.raises(ValueError, match=r"`only` is 'x'.* encoder/h, encoder/c, dec"):
        measure(loss, jnp.ones(2), only="x")


def test_a_tap_that_is_not_chosen_returns_its_very_argument():
    def loss(w):
        assert tap(w, "rest") is w
        assert tap(w, "chosen") is not w
        return jnp.sum(tap(w, "chosen"))

    measure(loss, jnp.ones(2), only="chosen")


def test_a_tap_in_a_branch_has_numbers_where_it_was_taken():
    def loss(w, flags):
        def step(w, flag):
            double = lambda w: tap(2.0 * w, "double")
            return jax.lax.cond(flag, double, lambda w: tap(w, "same"), w), None

        return jnp.sum(jax.lax.scan(step, w, flags)[0])

    flags = np.array([True, False, True])
    taps = jax.jit(lambda *args: measure(loss, *args).taps)(jnp.ones(1), flags)
    np.testing.assert_array_equal(taps["double"].norm, [2.0, np.nan, 1.0])
    np.testing.assert_array_equal(taps["same"].norm, [np.nan, 2.0, np.nan])
