"""The layers of attention: their scores from their weights, keys computed once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import nn


LAYERS = {"additive": nn.AdditiveAttention, "dot": nn.DotProductAttention}
every_layer = pytest.mark.parametrize("kind", LAYERS)
LENGTHS = np.array([5, 0, 2])


def make(kind, **options):
    draw = nnx.initializers.normal(1.0)
    options = {"use_bias": True, "bias_init": draw, **options}
    return LAYERS[kind](4, 3, 2, **options, rngs=nnx.Rngs(1))


@pytest.fixture
def arrays(rng):
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    return draw(3, 4), draw(3, 5, 3)


@every_layer
def test_the_scores_are_those_of_the_weights(kind, arrays):
    layer, (query, memory) = make(kind), arrays
    context, weights = layer(query, memory, LENGTHS)
    q, k = query @ layer.w_q[...], memory @ layer.w_m[...] + layer.b[...]
    if kind == "additive":
        scores = jnp.tanh(q[:, None] + k) @ layer.v[...]
    else:
        scores = jnp.einsum("bu,btu->bt", q, k) / np.sqrt(2)
    for row, length in enumerate(LENGTHS):
        expected = jax.nn.softmax(scores[row, :length])
        np.testing.assert_allclose(weights[row, :length], expected, rtol=1e-5)
        np.testing.assert_allclose(
            context[row], expected @ memory[row, :length], rtol=1e-4, atol=1e-6
        )
    keys = layer.keys(memory, LENGTHS)
    again = layer(query, memory, LENGTHS, keys=keys)
    np.testing.assert_array_equal(again[0], context)


@every_layer
def test_padding_reaches_no_gradient_of_a_weight(kind, arrays):
    query, memory = arrays
    memory[np.arange(5) >= LENGTHS[:, None]] = np.nan

    def loss(layer):
        context, weights = layer(query, memory, LENGTHS)
        return jnp.sum(context**2) + jnp.sum(weights**2)

    gradients = jax.tree.leaves(nnx.jit(nnx.grad(loss))(make(kind)))
    assert len(gradients) == (4 if kind == "additive" else 3)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    # The softmax does not change if a number is added to all scores of a query.
    assert sum(np.any(gradient != 0) for gradient in gradients) >= 2


def test_dtypes_and_options(arrays):
    layer = make("additive", dtype=jnp.bfloat16, use_bias=False)
    assert layer.b is None
    context, weights = layer(*arrays)
    assert (context.dtype, weights.dtype) == (jnp.bfloat16, jnp.bfloat16)
    flat = make("dot", scale=0.0)(*arrays)
    np.testing.assert_allclose(flat[1], 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"units": 0}, ValueError, "`units` is 0; wanted 1 or more"),
        ({"query_features": 2.0}, TypeError, "`query_features` is 2.0; wanted an int"),
        ({"scale": -1.0}, ValueError, "`scale` is -1.0; wanted a number, 0 or more"),
        ({"use_bias": 1}, TypeError, "`use_bias` is 1; wanted True or False"),
        ({"dtype": jnp.int32}, TypeError, "`dtype` is int32; wanted floating point"),
    ],
)
@pytest.mark.usefixtures("unchecked_annotations")
def test_constructors_name_the_argument(options, error, message):
    given = {"query_features": 4, "memory_features": 3, "units": 2, **options}
    with pytest.raises(error, match=message):
        nn.DotProductAttention(**given, rngs=nnx.Rngs(0))


@pytest.mark.usefixtures("unchecked_annotations")
def test_inputs_of_other_features(arrays):
    query, memory = arrays
    with pytest.raises(ValueError, match=r"`memory` has shape .*; wanted 3 features"):
        make("dot")(query, memory[..., :2])
    with pytest.raises(ValueError, match=r"`query` has shape .*; wanted 4 features"):
        make("dot")(query[:, :3], memory)


def test_the_gradient_of_a_bias_in_half_precision_is_summed_in_single():
    layer, memory = make("dot", dtype=jnp.bfloat16), jnp.ones((64, 20, 3))
    gradient = nnx.grad(lambda layer: jnp.sum(layer.keys(memory).astype(jnp.float32)))
    np.testing.assert_array_equal(gradient(layer).b[...], 64 * 20)
