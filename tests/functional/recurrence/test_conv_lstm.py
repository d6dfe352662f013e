"""The convolutional LSTM against plain loops in float64: values and gradients."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import functional as F
from jaxnets import nn
from jaxnets.gradflow import measure
from tests.oracles import recurrent as oracle


B, T, D, H = 3, 4, 2, 3
CASES = {
    "1-D": ((5,), (3,), (2,), None),
    "2-D": ((3, 4), (3, 2), (1, 3), (3, 4)),
    "2-D, shared peepholes": ((3, 4), (1, 1), (3, 3), (1, 4)),
    "3-D": ((2, 3, 2), (2, 1, 3), (2, 1, 3), None),
}
SCAN: dict[str, Any] = {
    "lengths": np.array([4, 0, 3]),
    "resets": np.arange(B * T).reshape(B, T) % 5 == 2,
    "reverse": True,
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def drawn(case, rng):
    """Float64 parameters, input and state."""
    spatial, window, again, peepholes = case
    normal = lambda *shape: 0.5 * rng.standard_normal(shape)
    params = F.ConvLSTMParams(
        normal(*window, D, 4 * H),
        normal(*again, H, 4 * H),
        normal(4 * H),
        None if peepholes is None else normal(3, *peepholes, H),
    )
    state = F.LSTMState(normal(B, *spatial, H), normal(B, *spatial, H))
    return params, normal(B, T, *spatial, D), state


def run_oracle(arguments, spatial):
    """Return `(h, c, ys)` of the oracle."""
    params, x, state = arguments
    flat = lambda array, lead: array.reshape(*array.shape[:lead], -1)
    step = functools.partial(oracle.conv_lstm_step, spatial=spatial)
    start = tuple(flat(s, 1) for s in state)
    (h, c), ys = oracle.run(step, params, flat(x, 2), start, **SCAN)
    maps = (*spatial, H)
    return h.reshape(B, *maps), c.reshape(B, *maps), ys.reshape(B, T, *maps)


@every_case
def test_values_and_gradients_against_plain_loops(case, rng):
    spatial = case[0]
    arguments = drawn(case, rng)
    weights = [rng.standard_normal(a.shape) for a in run_oracle(arguments, spatial)]
    leaves, structure = jax.tree.flatten(arguments)

    def expected(*leaves):
        results = run_oracle(jax.tree.unflatten(structure, leaves), spatial)
        return sum(np.vdot(a, w) for a, w in zip(results, weights, strict=True))

    def loss(arguments):
        params, x, state = arguments
        state, ys = F.conv_lstm(params, x, state, **SCAN)
        results = (*state, ys)
        pairs = zip(results, weights, strict=True)
        return sum(jnp.vdot(a, jnp.float32(w)) for a, w in pairs), results

    single = jax.tree.map(jnp.float32, arguments)
    gradients, results = jax.jit(jax.grad(loss, has_aux=True))(single)
    for ours, theirs in zip(results, run_oracle(arguments, spatial), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    # One random direction for each array checks all of its elements.
    for number, gradient in enumerate(jax.tree.leaves(gradients)):
        direction = [np.zeros_like(leaf) for leaf in leaves]
        direction[number] = rng.standard_normal(leaves[number].shape)
        slope = oracle.slope(expected, leaves, direction)
        ours = np.vdot(np.float64(gradient), direction[number])
        np.testing.assert_allclose(ours, slope, rtol=1e-3, atol=1e-4)


def test_the_module_calls_the_function_with_its_weights(rng):
    layer = nn.ConvLSTM(
        D,
        H,
        (3, 3),
        peephole_shape=(3, 4),
        recurrent_kernel_size=(1, 3),
        name="film",
        rngs=nnx.Rngs(0),
    )
    assert layer.params.w_xh.shape == (3, 3, D, 4 * H)
    assert layer.params.w_hh.shape == (1, 3, H, 4 * H)
    np.testing.assert_array_equal(layer.params.b, np.repeat([0, 1, 0, 0], H))
    _, x, state = jax.tree.map(jnp.float32, drawn(CASES["2-D"], rng))
    scan: dict[str, Any] = {"lengths": SCAN["lengths"], "checkpoint": 3}

    def both(x):
        first = jnp.moveaxis(x, 1, 0)
        own = F.conv_lstm(layer.params, x, state, lengths=SCAN["lengths"])
        return layer(first, state, time_major=True, **scan), own

    (final, ys), (final_own, ys_own) = jax.jit(both)(x)
    same = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(same, (final, jnp.moveaxis(ys, 0, 1)), (final_own, ys_own))

    loss = lambda x: jnp.sum(layer(x)[1])
    taps = jax.eval_shape(lambda x: measure(loss, x).taps, x)
    assert set(taps) == {f"film/{gate}" for gate in "hcifgo"}
    assert {stats.norm.shape for stats in taps.values()} == {(T,)}


def test_other_transforms(rng):
    params, x, state = jax.tree.map(jnp.float32, drawn(CASES["1-D"], rng))
    run = lambda params, x: F.conv_lstm(params, x)[1]
    tangent = jax.tree.map(jnp.ones_like, params)
    forward = lambda params: jax.jvp(lambda p: run(p, x), (params,), (tangent,))[1]
    backward = lambda params: jax.vjp(lambda p: run(p, x), params)[1](
        jnp.ones((B, T, 5, H))
    )
    there, (back,) = jax.jit(lambda p: (forward(p), backward(p)))(params)
    total = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(back))
    np.testing.assert_allclose(jnp.sum(there), total, rtol=1e-4)
    # No batch axis at all, and numbers of 16 bits.
    half = jax.tree.map(jnp.bfloat16, params)
    state, ys = jax.jit(F.conv_lstm)(half, jnp.bfloat16(x[0]))
    assert ys.dtype == state.c.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(ys), run(params, x[0]), atol=0.03)


def test_errors_name_the_argument():
    params = F.init_conv_lstm(jax.random.key(0), D, H, (3, 3), peephole_shape=(4, 4))
    x = jnp.zeros((B, T, 4, 4, D))
    with pytest.raises(ValueError, match=r"`params.peephole` has shape \(3, 4, 4, 3\)"):
        F.conv_lstm(params, x[:, :, :3])
    with pytest.raises(ValueError, match="`x` has 1 features"):
        F.conv_lstm(params, x[..., :1])
    with pytest.raises(ValueError, match=r"wanted .*with 2 spatial axes"):
        F.conv_lstm(params, x[0, 0])
    with pytest.raises(ValueError, match="`resets` has shape"):
        F.conv_lstm(params, x, resets=jnp.zeros((T, B), bool))
    with pytest.raises(ValueError, match=r"`state\.h` has shape"):
        F.conv_lstm(params, x, F.LSTMState(x[:, 0], x[:, 0]))
    with pytest.raises(ValueError, match=r"`params\.w_hh` has shape"):
        F.conv_lstm(params._replace(w_hh=params.w_hh[..., :8]), x)
    with pytest.raises(ValueError, match="`recurrent_kernel_size` is"):
        F.init_conv_lstm(jax.random.key(0), D, H, (3, 3), recurrent_kernel_size=(3,))
