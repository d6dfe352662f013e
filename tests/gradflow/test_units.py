"""Gradient correlation, gate timescales, saturation: against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.gradflow import (
    attention_stats,
    dead_units,
    gate_timescales,
    gradient_correlation,
    saturation,
)
from tests.oracles import gradflow as oracle


@pytest.mark.parametrize("shape", [(2, 1), (3, 5), (7, 2, 3)])
def test_correlation_is_the_mean_pairwise_cosine(shape, rng):
    gradients = (rng.normal(size=shape) + 0.3).astype(np.float32)
    expected = oracle.mean_pairwise_cosine(gradients)
    np.testing.assert_allclose(gradient_correlation(gradients), expected, atol=1e-6)


def test_correlation_of_tiny_zero_and_half_precision_gradients(rng):
    gradients = rng.normal(size=(4, 6)).astype(np.float32)
    tiny = gradients * np.float32(1e-35)
    expected = oracle.mean_pairwise_cosine(gradients)
    np.testing.assert_allclose(gradient_correlation(tiny), expected, atol=1e-3)
    half = jnp.asarray(gradients, jnp.bfloat16)
    assert gradient_correlation(half).dtype == jnp.float32
    np.testing.assert_allclose(gradient_correlation(half), expected, atol=0.01)
    gradients[1] = 0
    expected = oracle.mean_pairwise_cosine(gradients)
    np.testing.assert_allclose(gradient_correlation(gradients), expected, atol=1e-6)


def test_plain_relu_networks_halve_the_correlation_per_layer(rng):
    """1/2^L (Balduzzi et al. 2017), with inputs centred at every layer."""
    width = 256

    def network(x, weights, mean, std):
        for w, m, s in zip(weights, mean, std, strict=True):
            x = jax.nn.relu(((x @ w) - m) / s)
        return jnp.sum(x * direction)

    for depth in (1, 3):
        keys = jax.random.split(jax.random.key(depth), depth + 1)
        weights = [jax.random.normal(k, (width, width)) / 16.0 for k in keys[:-1]]
        direction = jax.random.normal(keys[-1], (width,))
        batch = rng.normal(size=(48, width)).astype(np.float32)
        mean, std, x = [], [], batch
        for w in weights:
            mean.append(jnp.mean(x @ w, axis=0))
            std.append(jnp.std(x @ w, axis=0))
            x = jax.nn.relu(((x @ w) - mean[-1][None]) / std[-1][None])
        gradients = jax.vmap(
            lambda x, w=weights, m=mean, s=std: jax.grad(network)(x, w, m, s)
        )(batch)
        np.testing.assert_allclose(
            gradient_correlation(gradients), 0.5**depth, atol=0.04
        )


def test_one_gradient_has_no_correlation():
    with pytest.raises(
        ValueError, match=r"`gradients` has shape \(1, .* two or more inputs"
    ):
        gradient_correlation(jnp.ones((1, 3)))


def test_timescales(rng):
    gate = rng.uniform(0.2, 0.99, size=(4, 7, 3)).astype(np.float32)
    expected = [-1 / np.log(np.mean(gate[..., h], dtype=np.float64)) for h in range(3)]
    np.testing.assert_allclose(gate_timescales(gate), expected, rtol=1e-4)


def test_timescales_of_closed_and_open_gates():
    gate = jnp.array([[0.0, 1.0], [0.0, 1.0]], jnp.bfloat16)
    np.testing.assert_array_equal(gate_timescales(gate), [0.0, np.inf])


def test_a_forget_bias_of_one_remembers_three_steps():
    gate = jax.nn.sigmoid(jnp.ones((5, 2)))
    np.testing.assert_allclose(gate_timescales(gate), 1 / 0.3133, rtol=1e-3)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("tanh", [-0.98, -0.96, 0.0, 0.971], 0.5),
        ("sigmoid", [0.02, 0.04, 0.96, 0.98], 0.5),
        ("ReLU", [0.0, 0.0, 0.0, 0.1], 0.75),
    ],
)
def test_saturation(kind, values, expected):
    assert saturation(jnp.array(values), kind) == expected
    assert jax.jit(lambda a: saturation(a, kind))(jnp.array(values)) == expected


def test_thresholds_leave_a_small_derivative():
    assert 1 - 0.97**2 < 0.06
    assert 0.97 * 0.03 < 0.12 * 0.25


def test_dead_units_are_zero_at_every_input(rng):
    activations = np.maximum(rng.normal(size=(3, 5, 5, 4)), 0.0).astype(np.float32)
    assert dead_units(activations) == 0.0
    activations[..., 2] = 0
    assert dead_units(activations) == 0.25


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"`kind` is 'softplus'; wanted one of"):
        saturation(jnp.ones(3), "softplus")
    with pytest.raises(ValueError, match=r"`gate` has the shape \(0, 3\)"):
        gate_timescales(jnp.ones((0, 3)))


def test_attention_is_measured_over_the_keys_that_are_not_masked(rng):
    logits = rng.normal(size=(3, 5, 7)) * 3
    mask = rng.random(size=logits.shape) < 0.6
    mask[0, 0], mask[0, 1] = False, False
    mask[0, 0, 2] = mask[1, :, :2] = True  # one key only; at least two
    entropies, sizes = [], []
    for row, keys in zip(logits.reshape(-1, 7), mask.reshape(-1, 7), strict=True):
        found = row[keys]
        if len(found) < 2:
            continue
        p = np.exp(found - found.max()) / np.exp(found - found.max()).sum()
        entropies.append(-np.sum(p * np.log(p)) / np.log(len(p)))
        sizes.append(found.max() - found.mean())
    logits[~mask] = -np.inf
    weights = jax.nn.softmax(jnp.asarray(logits, jnp.float32))
    stats = attention_stats(jnp.nan_to_num(weights))
    np.testing.assert_allclose(stats.entropy, np.mean(entropies), rtol=1e-5)
    np.testing.assert_allclose(stats.logit_size, np.mean(sizes), rtol=1e-5)
    equal = attention_stats(jnp.full((2, 4), 0.25))
    np.testing.assert_allclose(equal, (1.0, 0.0), atol=1e-6)
    assert jnp.isnan(attention_stats(jnp.ones((3, 1))).entropy)
    with pytest.raises(ValueError, match="`weights` has the shape"):
        attention_stats(jnp.ones((0, 3)))
