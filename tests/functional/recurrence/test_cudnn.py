"""The LSTM of cuDNN, with JAX's reference implementation in place of cuDNN itself.

The reference runs on any backend, so these tests need no GPU.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn

import jaxnets
from jaxnets import functional as F
from jaxnets.gradflow import measure


B, T, D, H = 4, 5, 3, 2
LENGTHS = np.array([5, 0, 2, 1])


@pytest.fixture
def on_gpu(monkeypatch):
    """Pretend that there is a GPU, and replace cuDNN by the reference."""

    def reference(x, h, c, weights, lengths, *sizes):
        features, hidden, layers, _, both = sizes
        parts = rnn.unpack_lstm_weights(weights, features, hidden, layers, both)
        # cuDNN does not support lengths of zero, but the reference does.
        x = jnp.where(lengths[:, None, None] < 1, jnp.nan, x)
        with jax.numpy_rank_promotion("allow"):
            return rnn.lstm_ref(x, h, c, *parts, lengths, *sizes)

    monkeypatch.setattr(rnn, "lstm", reference)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax.lax, "platform_dependent", for_cuda)


def for_cuda(*arguments, default, cuda=None, **_):
    return (cuda or default)(*arguments)


def drawn(rng):
    normal = lambda *shape: jnp.float32(0.6 * rng.standard_normal(shape))
    params = F.LSTMParams(normal(D, 4 * H), normal(H, 4 * H), normal(4 * H))
    return params, normal(B, T, D), F.LSTMState(normal(B, H), normal(B, H))


@pytest.mark.parametrize("reverse", [False, True])
def test_values_and_gradients_against_the_scan(reverse, rng, on_gpu):
    arguments = drawn(rng)
    scan: dict[str, Any] = {"lengths": LENGTHS, "reverse": reverse}

    def loss(arguments, implementation):
        params, x, state = arguments
        results = F.lstm(params, x, state, implementation=implementation, **scan)
        leaves = jax.tree.leaves(results)
        waves = [jnp.cos(jnp.arange(a.size, dtype=a.dtype)) for a in leaves]
        pairs = zip(leaves, waves, strict=True)
        return sum(jnp.vdot(a, w) for a, w in pairs), results

    def both(arguments):
        run = jax.grad(loss, has_aux=True)
        return [run(arguments, name) for name in ("cudnn", "scan")]

    cudnn, plain = jax.jit(both)(arguments)
    same = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(same, cudnn, plain)
    _, (state, _) = cudnn
    np.testing.assert_array_equal(state.c[1], arguments[2].c[1])


def test_every_layout_of_the_input(rng, on_gpu):
    params, x, _ = drawn(rng)
    run = functools.partial(F.lstm, params, implementation="cudnn")
    state, ys = run(x)
    same = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(same, run(x[0]), (F.LSTMState(state.h[0], state.c[0]), ys[0]))
    final, time_first = run(jnp.swapaxes(x, 0, 1), time_major=True)
    jax.tree.map(same, (final, jnp.swapaxes(time_first, 0, 1)), (state, ys))
    same(run(x.reshape(2, 2, T, D))[1], ys.reshape(2, 2, T, H))
    # Values at padding have no effect, in the forward and in the backward pass.
    with_nan = jnp.where(
        jnp.arange(T)[None, :, None] < LENGTHS[:, None, None], x, jnp.nan
    )
    options: dict[str, Any] = {"lengths": LENGTHS, "implementation": "cudnn"}
    gradients = jax.grad(lambda p: jnp.sum(F.lstm(p, with_nan, **options)[1]))(params)
    assert all(np.isfinite(w).all() for w in jax.tree.leaves(gradients))


def test_plan_gives_the_reason_against_cudnn(rng, monkeypatch):
    params, x, _ = drawn(rng)
    planned = functools.partial(jaxnets.plan, F.lstm, platform="cuda")
    why = lambda *given, **options: planned(*given, **options).others
    assert why(params, x)["cudnn"] == "needs an NVIDIA GPU while JAX traces"
    with pytest.raises(ValueError, match="cannot run here: needs an NVIDIA GPU"):
        F.lstm(params, x, implementation="cudnn")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "only if it is named" in why(params, x)["cudnn"]
    resets = np.zeros((B, T), bool)
    assert why(params, x, resets=resets)["cudnn"] == "does not support `resets`"
    assert why(params, x, clip=1.0)["cudnn"] == "does not support `clip`"
    assert why(params, x, zoneout=0.1)["cudnn"] == "does not support `zoneout`"
    assert "`activation` other than" in why(params, x, activation=jax.nn.relu)["cudnn"]
    peepholes = params._replace(peephole=jnp.ones((3, H)))
    assert why(peepholes, x)["cudnn"] == "does not support peepholes"
    half = jax.tree.map(jnp.bfloat16, params)
    assert "float32 only" in why(half, jnp.bfloat16(x))["cudnn"]
    assert "needs at least one step" in why(params, x[:, :0])["cudnn"]
    loss = lambda params: jnp.sum(F.lstm(params, x, implementation="cudnn")[1])
    with pytest.raises(ValueError, match="does not support taps"):
        measure(loss, params)
    rnn_params = F.init_rnn(jax.random.key(0), D, H)
    assert "cudnn" not in jaxnets.plan(F.rnn, rnn_params, x, platform="cuda").others
