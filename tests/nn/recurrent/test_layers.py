"""Recurrent layers against their functions with the same weights and options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.nnx import initializers

from jaxnets import functional as F
from jaxnets import nn
from tests.cells import EVERY


D, H = 3, 4
LAYERS = {
    **{
        f"{family.name}-{number}": (
            family.layer,
            family.run,
            dict(variant.options),
            dict(variant.params),
        )
        for family in EVERY
        for number, variant in enumerate(family.variants)
    },
    "rnn-activation": (nn.RNN, F.rnn, {"activation": jax.nn.relu}, {}),
    "gru-activations": (
        nn.GRU,
        F.gru,
        {"activation": jnp.sin, "gate_activation": jax.nn.hard_sigmoid},
        {},
    ),
    "lstm-activations": (
        nn.LSTM,
        F.lstm,
        {
            "activation": jnp.sin,
            "gate_activation": jax.nn.hard_sigmoid,
            "output_activation": jax.nn.relu,
        },
        {},
    ),
}
SCAN = {
    "lengths": np.array([5, 2]),
    "resets": np.arange(10).reshape(2, 5) % 3 == 0,
    "reverse": True,
    "unroll": 2,
    "checkpoint": "sqrt",
}
every_layer = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)


def disturbed(layer):
    """Add noise to all weights, so that no bias is zero."""
    noise = lambda a: a + 0.3 * np.cos(np.arange(a.size)).reshape(a.shape)
    nnx.update(layer, jax.tree.map(noise, nnx.state(layer, nnx.Param)))
    return layer


def construct(case):
    module, function, cell, shape = case
    layer = disturbed(module(D, H, **cell, **shape, rngs=nnx.Rngs(0)))
    return layer, lambda *args, **scan: function(layer.params, *args, **cell, **scan)


def assert_close(actual, expected):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-6)


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 5, D)).astype(np.float32)


@every_layer
def test_a_layer_calls_its_function_with_its_parameters(case, x):
    layer, function = construct(case)
    # One program for both, since compilation takes most of the time.
    actual, expected = jax.jit(lambda x: (layer(x, **SCAN), function(x, **SCAN)))(x)
    assert_close(actual, expected)


def test_time_major(x):
    layer, _ = construct(LAYERS["lstm-0"])
    state, ys = layer(np.swapaxes(x, 0, 1), time_major=True)
    assert_close((state, np.swapaxes(ys, 0, 1)), layer(x))


def test_a_run_continues_from_a_returned_state(x):
    layer, _ = construct(LAYERS["lstm-3"])
    middle, first = layer(x[:, :2])
    end, second = layer(x[:, 2:], middle)
    assert_close((end, np.concatenate([first, second], axis=1)), layer(x))


@every_layer
def test_the_graph_definition_can_be_hashed(case):
    definition, other = (nnx.split(construct(case)[0])[0] for _ in range(2))
    assert hash(definition) == hash(other) and definition == other


def shapes(layer):
    weights = nnx.to_pure_dict(nnx.state(layer, nnx.Param))
    return {name: weight.shape for name, weight in weights.items()}


def test_names_and_shapes_of_the_weights():
    rngs = nnx.Rngs(0)
    assert shapes(nn.RNN(D, H, rngs=rngs)) == {
        "w_xh": (3, 4),
        "w_hh": (4, 4),
        "b": (4,),
    }
    gru = {"w_xh": (3, 12), "w_hh": (4, 12), "b": (12,), "b_hn": (4,)}
    assert shapes(nn.GRU(D, H, rngs=rngs)) == gru
    lstm = {"w_xh": (3, 16), "w_hh": (4, 16), "b": (16,)}
    assert shapes(nn.LSTM(D, H, rngs=rngs)) == lstm
    full = nn.LSTM(D, H, peephole=True, projection=2, rngs=rngs)
    assert shapes(full) == {
        "w_xh": (3, 16),
        "w_hh": (2, 16),
        "b": (16,),
        "peephole": (3, 4),
        "w_hr": (4, 2),
    }
    assert (full.out_features, nn.GRU(D, H, rngs=rngs).out_features) == (2, 4)


@pytest.mark.parametrize("module", [nn.RNN, nn.GRU, nn.LSTM])
def test_initialisers_and_dtype_of_the_weights(module):
    layer = module(
        D,
        H,
        input_init=initializers.constant(2.0),
        recurrent_init=initializers.constant(3.0),
        param_dtype=jnp.bfloat16,
        rngs=nnx.Rngs(0),
    )
    np.testing.assert_array_equal(layer.w_xh[...].astype(np.float32), 2.0)
    np.testing.assert_array_equal(layer.w_hh[...].astype(np.float32), 3.0)
    weights = jax.tree.leaves(nnx.state(layer, nnx.Param))
    assert {array.dtype for array in weights} == {jnp.dtype(jnp.bfloat16)}
    _, ys = layer(jnp.ones((2, D), jnp.bfloat16))
    assert ys.dtype == jnp.bfloat16


def test_the_forget_bias_is_the_second_block():
    layer = nn.LSTM(D, H, forget_bias=2.5, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(layer.params.b, np.repeat([0, 2.5, 0, 0], H))


def test_a_layer_raises_the_errors_of_its_function(x):
    layer = nn.GRU(D, H, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="`x` has 2 features"):
        layer(x[..., :2])
    with pytest.raises(TypeError, match="`lengths`"):
        layer(x, lengths=np.ones(2))
    with pytest.raises(ValueError, match="`clip` is -1"):
        nn.RNN(D, H, clip=-1.0, rngs=nnx.Rngs(0))(x)
