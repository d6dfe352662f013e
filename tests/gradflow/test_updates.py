"""Update ratios and the gradient noise scale: exact moments, plain loops."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.gradflow import gradient_noise_scale, update_ratios
from jaxnets.tap.statistics import norms_of


def test_update_ratios_by_path(rng):
    params = {
        "layers": [rng.normal(size=(3, 4)).astype("f"), np.zeros(4, "f")],
        "gain": np.zeros(2, "f"),
        "tiny": jnp.full(3, 1e-30),
        "half": jnp.full(5, 2.0, jnp.bfloat16),
        "count": np.int32(3),
    }
    updates = {
        "layers": [rng.normal(size=(3, 4)).astype("f"), np.ones(4, "f")],
        "gain": np.zeros(2, "f"),
        "tiny": jnp.full(3, 2e-33),
        "half": jnp.full(5, 0.5, jnp.bfloat16),
        "count": np.int32(0),
    }
    ratios = jax.jit(update_ratios)(updates, params)
    weights = [np.linalg.norm(tree["layers"][0]) for tree in (updates, params)]
    expected = {
        "layers/0": weights[0] / weights[1],
        "layers/1": np.inf,
        "gain": 0.0,
        "tiny": 2e-3,
        "half": 0.25,
    }
    assert set(ratios) == set(expected)
    for path, ratio in expected.items():
        np.testing.assert_allclose(ratios[path], ratio, rtol=1e-5, err_msg=path)
    assert ratios["half"].dtype == jnp.float32


@pytest.mark.parametrize(("batch_size", "count"), [(1, 2), (1, 3), (2, 2)])
def test_the_estimates_are_unbiased(batch_size, count):
    """The mean over all possible draws from four examples is exact."""
    examples = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, 0.5], [2.0, 5.0, 0.0], [0, 1, 1]])
    true = examples.mean(axis=0)
    covariance = (examples - true).T @ (examples - true) / len(examples)
    draws = itertools.product(range(4), repeat=batch_size * count)
    chosen = examples[np.array(list(draws))].astype("f")
    batches = chosen.reshape(-1, count, batch_size, 3).mean(axis=2)
    gradients = {"a": batches[..., :2], "b": batches[..., 2:].reshape(-1, count, 1, 1)}
    run = jax.jit(jax.vmap(lambda g: gradient_noise_scale(g, batch_size=batch_size)))
    noise = run(gradients)
    np.testing.assert_allclose(noise.trace.mean(), np.trace(covariance), rtol=1e-5)
    np.testing.assert_allclose(noise.squared_norm.mean(), true @ true, rtol=1e-5)


def test_the_estimate_from_a_small_and_a_large_batch(rng):
    """Appendix A.1 of McCandlish et al., with B_small 4 and B_big 20."""
    gradients = rng.normal(size=(5, 7)) + 0.8
    small = np.mean(np.sum(gradients**2, axis=1))
    big = np.sum(gradients.mean(axis=0) ** 2)
    squared_norm = (20 * big - 4 * small) / (20 - 4)
    trace = (small - big) / (1 / 4 - 1 / 20)
    noise = gradient_noise_scale(gradients.astype("f"), batch_size=4)
    np.testing.assert_allclose(noise.trace, trace, rtol=1e-5)
    np.testing.assert_allclose(noise.squared_norm, squared_norm, rtol=1e-5)
    np.testing.assert_allclose(noise.scale, trace / squared_norm, rtol=1e-5)


def test_linear_regression_has_a_known_noise_scale(rng):
    """`g = x (x w - y)` with Gaussian x and y = 0 at `w`: tr = |w|^2 (D + 1)."""
    w, count = np.array([0.5, -1.0, 2.0], "f"), 40_000
    x = rng.normal(size=(count, 3)).astype("f")
    gradients = jax.jit(
        jax.vmap(jax.grad(lambda w, x: jnp.dot(x, w) ** 2 / 2), (None, 0))
    )(w, x)
    noise = gradient_noise_scale(gradients)
    np.testing.assert_allclose(noise.scale, 4.0, rtol=0.05)
    np.testing.assert_allclose(noise.squared_norm, w @ w, rtol=0.05)


def test_edges_of_the_noise_scale(rng):
    rows = rng.normal(size=(4, 3)).astype("f") + 2
    plain, tiny = gradient_noise_scale(rows), gradient_noise_scale(rows * 1e-30)
    np.testing.assert_allclose(tiny.scale, plain.scale, rtol=1e-5)
    opposite = gradient_noise_scale(np.array([[1.0], [-1.0]], "f"))
    assert opposite.scale == np.inf
    np.testing.assert_allclose(opposite.squared_norm, -1.0, rtol=1e-6)
    same = gradient_noise_scale(jnp.ones((3, 2), jnp.bfloat16))
    np.testing.assert_allclose(same.squared_norm, 2.0, rtol=1e-6)
    assert same.scale == 0
    assert same.scale.dtype == jnp.float32


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"`updates` has the shapes .*`params`"):
        update_ratios({"a": jnp.ones(2)}, {"a": jnp.ones(3)})
    with pytest.raises(ValueError, match=r"`gradients` has the shapes"):
        gradient_noise_scale(jnp.ones((1, 3)))
    with pytest.raises(ValueError, match=r"`gradients` has the shapes"):
        gradient_noise_scale({"a": jnp.ones((2, 3)), "b": jnp.ones((3, 3))})
    with pytest.raises(ValueError, match=r"`batch_size` is 0"):
        gradient_noise_scale(jnp.ones((2, 3)), batch_size=0)


def test_the_norm_of_constant_zeros_is_zero():
    """XLA of JAX 0.11 squares the scale of constants, and 0 times infinity is NaN."""
    norms = jax.jit(lambda x: norms_of([jnp.zeros((2, 2)), x]))(jnp.ones((2, 2)))
    assert list(map(float, norms)) == [0.0, 2.0]
