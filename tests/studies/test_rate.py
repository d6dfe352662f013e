"""The study of the learning rate: its theory, its measurements and its verdicts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.gradflow import verdicts
from jaxnets.runs.records import Record
from jaxnets.studies.rate import network
from jaxnets.studies.rate.prediction import (
    coherent_sum,
    predicted_log_rate,
    spectrum,
)
from tests.report.synthetic import section_of


@pytest.mark.parametrize("branch_scale", [None, 1.0, 0.5])
def test_the_changes_by_all_layers_add_up_as_random_matrices_do(branch_scale, rng):
    n, layers = 300, 5
    growth, variance = spectrum(branch_scale)
    products = [np.eye(n)]
    for _ in range(layers - 1):
        active = np.diag(rng.permutation(np.arange(n) % 2)).astype(float)
        layer = rng.normal(0, (2 / n) ** 0.5, (n, n)) @ active
        if branch_scale is not None:
            layer = np.eye(n) + branch_scale * layer
        products.append(products[-1] @ layer)
    total = np.sum([j @ j.T / growth**k for k, j in enumerate(products)], axis=0)
    # The mean over all directions of g.
    found = np.trace(total @ total) / n
    np.testing.assert_allclose(found, coherent_sum(layers, variance), rtol=0.05)


def image(rng, features=9):
    x = rng.normal(size=features).astype(np.float32)
    return jnp.asarray(x), jnp.int32(2)


def states(params, x, branch_scale):
    """z_0 to z_L by NumPy in float64, with the weights of a scan."""
    z = [np.asarray(x, np.float64) @ np.asarray(params.input, np.float64)]
    for w in np.asarray(params.hidden, np.float64):
        branch = np.maximum(z[-1], 0) @ w
        z.append(branch if branch_scale is None else z[-1] + branch_scale * branch)
    return z


def gradients(params, x, y, branch_scale):
    """Loss, its gradients of the hidden weights and of z_L, by NumPy in float64."""
    z = states(params, x, branch_scale)
    output = np.asarray(params.output, np.float64)
    error = np.maximum(z[-1], 0) @ output - np.eye(3)[int(y)]
    at_last = g = output @ error * (z[-1] > 0)
    of_hidden = []
    scale = 1.0 if branch_scale is None else branch_scale
    hidden = np.asarray(params.hidden, np.float64)
    for before, w in zip(z[-2::-1], hidden[::-1], strict=True):
        of_hidden.append(scale * np.outer(np.maximum(before, 0), g))
        through = scale * (w @ g) * (before > 0)
        g = through if branch_scale is None else g + through
    return 0.5 * np.sum(error**2), np.stack(of_hidden[::-1]), at_last


@pytest.mark.parametrize("branch_scale", [None, 0.5])
def test_the_first_step_is_the_derivative_of_a_small_update(branch_scale, rng):
    params = network.draw(jax.random.key(3), 9, 12, 3, 3)
    x, y = image(rng)
    found = network.first_step(params, x, y, branch_scale)
    _, gradient, at_last = gradients(params, x, y, branch_scale)
    tiny = 1e-6
    hidden = np.asarray(params.hidden, np.float64) - tiny * gradient
    after = params._replace(hidden=hidden)
    z = states(params, x, branch_scale)
    change = (states(after, x, branch_scale)[-1] - z[-1]) / tiny
    rate = np.log(np.linalg.norm(z[-1]) / np.linalg.norm(change))
    np.testing.assert_allclose(found.rate, rate, atol=1e-3)
    np.testing.assert_allclose(found.start, np.sum(z[0] ** 2), rtol=1e-5)
    log_gradient = np.log(np.linalg.norm(at_last))
    np.testing.assert_allclose(found.log_gradient, log_gradient, atol=1e-4)


def test_the_largest_stable_rate_is_the_last_before_the_first_that_is_not(rng):
    params = network.draw(jax.random.key(1), 9, 8, 2, 3)
    x, y = image(rng)
    start = jnp.log(0.02)
    edge = network.largest_stable_rate(params, x, y, start, None, updates=4)
    count = round((float(edge) - float(start)) / np.log(network.STEP))
    assert count > 2

    def stable(number):
        rate = np.exp(float(start)) * network.STEP**number
        weights, losses = params, []
        for _ in range(4):
            loss, gradient, _ = gradients(weights, x, y, None)
            losses.append(loss)
            hidden = np.asarray(weights.hidden, np.float64) - rate * gradient
            weights = weights._replace(hidden=hidden)
        return max(losses) <= losses[0]

    assert [stable(n) for n in range(count + 2)] == [True] * (count + 1) + [False]
    outside = network.largest_stable_rate(params, x, y, edge + 9.0, None, updates=4)
    assert np.isnan(outside)


def test_the_first_step_of_wide_networks_follows_theory():
    x, y = image(np.random.default_rng(0))
    gaps = []
    for depth in (4, 16):
        params = network.draw(jax.random.key(depth), 9, 192, depth, 3)
        found = network.first_step(params, x, y, depth**-0.5)
        gaps.append(found.rate - predicted_log_rate(depth, depth**-0.5, found))
    np.testing.assert_allclose(gaps, 0.0, atol=0.3)


def rates(family, exponent, seeds=3):
    return [
        Record(
            "rate",
            f"{family}-{n}",
            family,
            float(n),
            seed,
            0,
            metric,
            "",
            None,
            exponent * np.log10(n) + 0.01 * seed * (n == 8),
        )
        for n in (8, 16, 64)
        for seed in range(seeds)
        for metric in ("log10_stable_rate", "log10_first_step_rate")
    ]


def test_the_power_of_the_depth_is_judged_and_drawn():
    records = rates("plain", -1.5) + rates("residual, scaled", 0.05)
    plain, scaled, contrast = verdicts(records)
    assert (plain.kind, scaled.kind, contrast.kind) == (
        "rate-falls",
        "healthy",
        "contrast",
    )
    np.testing.assert_allclose(plain.number, -1.51, atol=0.02)
    assert "theory says -1.5" in plain.sentence
    assert plain.where == "plain, depths 8 to 64"
    np.testing.assert_allclose(contrast.number, 1.55, atol=0.02)
    assert "keep the learning rate" in contrast.remedy
    section = section_of("rate", records)
    assert [figure.plot.name for figure in section.figures] == [
        "largest-stable-rate",
        "first-step-rate",
    ]
    assert section.table and [row[0] for row in section.table.rows] == [
        "plain",
        "residual, scaled",
    ]
    assert section.headline and "it is 0.04" in section.headline.sentence
