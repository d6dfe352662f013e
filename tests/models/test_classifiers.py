"""The ConvNet and the multilayer perceptron."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import functional as F
from jaxnets import models


def convnet(image_shape, **options):
    return models.ConvNet(image_shape, 4, hidden=6, **options, rngs=nnx.Rngs(0))


def test_convnet_is_its_layers_in_turn(rng):
    model = convnet((9, 6, 2), widths=(3, 5))
    x = rng.normal(size=(2, 9, 6, 2)).astype(np.float32)
    first, second = model.convolutions
    h = F.max_pool(jax.nn.relu(first(x)), 2)
    h = F.max_pool(jax.nn.relu(second(h)), 2)
    assert h.shape == (2, 2, 1, 5)
    h = jax.nn.relu(model.hidden(h.reshape(2, 10)))
    actual = nnx.jit(lambda model, x: model(x))(model, x)
    np.testing.assert_allclose(actual, model.output(h), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (7, 5, 3), (4, 4, 1)])
def test_convnet_takes_images_of_its_shape(image_shape):
    make = lambda: convnet(image_shape)(jnp.zeros((5, *image_shape)))
    assert jax.eval_shape(make).shape == (5, 4)


def test_convnet_refuses_images_that_are_too_small():
    wanted = r"`widths` has 3 stages, .* 7 x 9; wanted at most 2"
    with pytest.raises(ValueError, match=wanted):
        convnet((7, 9, 1), widths=(2, 2, 2))


def test_convnet_applies_dropout_and_the_given_activation(rng):
    model = convnet((4, 4, 1), widths=(2,), dropout=0.5, activation=jnp.tanh)
    x = rng.normal(size=(2, 4, 4, 1)).astype(np.float32)
    call = nnx.jit(lambda model, x: model(x))
    assert not np.array_equal(call(model, x), call(model, x))
    model.eval()
    np.testing.assert_array_equal(call(model, x), call(model, x))
    assert model.activation is jnp.tanh


def test_mlp_is_its_layers_in_turn(rng):
    model = models.MLP(
        6, 4, widths=(5, 3), activation=jnp.tanh, gain=1.5, rngs=nnx.Rngs(0)
    )
    x = rng.normal(size=(2, 3, 2)).astype(np.float32)
    h1 = jnp.tanh(model.layers[0](x.reshape(2, 6)))
    h2 = jnp.tanh(model.layers[1](h1))
    for actual, expected in zip(model.hidden(x), (h1, h2), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5)
    np.testing.assert_allclose(model(x), model.output(h2), rtol=1e-5)
    assert model(x[:0]).shape == (0, 4)


def test_mlp_gain_scales_the_standard_deviation_of_the_weights():
    rngs = nnx.Rngs(jax.random.key(0, impl="rbg"))
    model = models.MLP(400, 4, widths=(300,), gain=2.0, rngs=rngs)
    deviation = np.std(np.asarray(model.layers[0].kernel[...]))
    np.testing.assert_allclose(deviation * 400**0.5, 2.0, rtol=0.02)


def test_mlp_applies_dropout_after_each_hidden_layer():
    model = models.MLP(6, 4, widths=(40, 5), dropout=0.5, rngs=nnx.Rngs(0))
    x = jnp.ones((2, 6))
    first, second = model.hidden(x), model.hidden(x)
    np.testing.assert_array_equal(first[0], second[0])
    assert not np.array_equal(first[1], second[1])
    model.eval()
    np.testing.assert_array_equal(model(x), model(x))


def test_mlp_needs_a_hidden_layer():
    with pytest.raises(ValueError, match="`widths` is empty"):
        models.MLP(6, 4, widths=(), rngs=nnx.Rngs(0))
