"""The study of extreme depth: the gradient's profile, theory's line, and verdicts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import training
from jaxnets.data import Labelled
from jaxnets.gradflow import theory, verdicts
from jaxnets.runs.records import Record
from jaxnets.studies.extreme import network, study
from tests.report.synthetic import section_of


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return Labelled(rng.normal(size=(3, 5, 4, 2)).astype(np.float32), np.arange(3))


def make(family, layers, seed=0, channels=6):
    start = study.variances(family)
    key = training.random_key(seed)
    return network.TanhNet(layers, (5, 4, 2), channels, 10, start, rngs=nnx.Rngs(key))


def test_the_profile_is_the_gradient_of_the_loss_at_every_layer(batch):
    model = make("gain 10 % too large", 4)
    found, mean_square = jax.jit(lambda: network.gradient_profile(model, batch))()
    kernels = np.asarray(model.stack.blocks.branch.first.kernel[...], np.float64)
    biases = np.asarray(model.stack.blocks.branch.first.bias[...], np.float64)
    # Only the middle of the window is not zero: a layer is one matrix everywhere.
    assert np.count_nonzero(kernels[:, 0]) == np.count_nonzero(kernels[:, 1, 0]) == 0
    states = [np.asarray(model.start(batch.x), np.float64)]
    np.testing.assert_allclose(mean_square, np.mean(states[0] ** 2), rtol=1e-5)
    for kernel, bias in zip(kernels, biases, strict=True):
        states.append(np.tanh(states[-1] @ kernel[1, 1] + bias))
    output = np.asarray(model.output.kernel[...], np.float64)
    logits = states[-1].reshape(3, -1) @ output
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    p[np.arange(3), batch.y] -= 1
    g = (p / 3 @ output.T).reshape(states[-1].shape)
    norms = []
    for y, kernel in zip(states[:0:-1], kernels[::-1], strict=True):
        norms.append(np.log10(np.linalg.norm(g)))
        g = (g * (1 - y**2)) @ kernel[1, 1].T
    np.testing.assert_allclose(found, norms[::-1], atol=1e-4)


def test_theory_s_line_goes_on_straight_where_the_variance_has_settled(monkeypatch):
    start = study.variances("gain 10 % too large")
    whole = network.predicted_profile(41, start, 0.02)
    monkeypatch.setattr(network, "SETTLED", 30)
    joined = network.predicted_profile(41, start, 0.02)
    np.testing.assert_allclose(joined, whole, atol=0.005)
    slope = np.log(theory.chi_1(jnp.tanh, **start._asdict())) / 2
    np.testing.assert_allclose(np.diff(joined[31:]), -slope, rtol=1e-6)
    assert joined[-1] == whole[-1] == 0


def test_a_small_step_at_the_chosen_rate_lowers_the_loss_as_asked(batch):
    model = make("critical", 3)
    rate = network.first_update_rate(model, batch, 1e-3)
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    objective = training.make_objective(graphdef, training.classification)
    (before, _), gradient = jax.value_and_grad(objective, has_aux=True)(
        params, rest, batch
    )
    after = jax.tree.map(lambda p, g: p - rate * g, params, gradient)
    loss = objective(after, rest, batch)[0]
    np.testing.assert_allclose(before - loss, 1e-3, rtol=0.1)


def record(family, size, metric, value, position=None, step=0, seed=0):
    return Record(
        "extreme", family, family, size, seed, step, metric, "", position, value
    )


def test_a_wrong_gain_vanishes_and_the_critical_one_is_solved():
    records = []
    for family, rate in (("critical", 1e-5), ("gain 10 % too small", 0.05)):
        for position in (0, 500, 999):
            for seed in (0, 1):
                value = -rate * (999 - position) - 1e-3 * seed
                records.append(
                    record(
                        family, 1000.0, "log10_gradient_norm", value, position, 0, seed
                    )
                )
        for metric in ("test_accuracy", "validation_accuracy"):
            accuracy = 0.95 if family == "critical" else 0.1
            records.append(record(family, 1000.0, metric, accuracy, step=30))
    found = {(v.where.partition(",")[0], v.kind) for v in verdicts(records)}
    assert found == {
        ("critical", "healthy"),
        ("critical", "solved"),
        ("gain 10 % too small", "vanishing"),
        ("gain 10 % too small", "unsolved"),
    }
    (vanishing,) = [v for v in verdicts(records) if v.kind == "vanishing"]
    assert "first of 1,000 layers receives 10^-50 (95 %" in vanishing.sentence
    section = section_of("extreme", records)
    assert [figure.plot.name for figure in section.figures] == [
        "gradient-by-layer",
        "validation-accuracy",
    ]
    assert section.headline and "test at 95 %" in section.headline.sentence
    assert "10^-50 with a gain 10 % too small" in section.headline.sentence
