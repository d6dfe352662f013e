"""One step, measured or not, equals the same step written in Flax and Optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnets.data import Labelled
from jaxnets.gradflow import every, measure, measure_module
from jaxnets.training import (
    classification,
    make_evaluation,
    make_objective,
    make_step,
    regression,
    train_state,
)
from tests.training.networks import Tiny, assert_close, examples


OPTIMIZER = optax.adamw(0.05, weight_decay=0.01)


def watch(taps, responses):
    norms = {name: stats.norm for name, stats in taps.items()}
    return norms, {name: response.std for name, response in responses.items()}


@pytest.fixture(scope="module")
def start():
    return train_state(Tiny(nnx.Rngs(2)), OPTIMIZER)


@pytest.fixture(scope="module")
def plain_step(start):
    return jax.jit(make_step(start[0], classification, OPTIMIZER))


@pytest.fixture(scope="module")
def trained(start, plain_step):
    """The state after three updates, and the report of each step."""
    state, reports = start[1], []
    for seed in range(3):
        state, report = plain_step(state, examples(8, seed))
        reports.append(report)
    return state, reports


def test_three_updates_equal_those_of_a_flax_training_loop(trained):
    state, reports = trained
    model = Tiny(nnx.Rngs(2))
    model.train()
    optimizer = nnx.Optimizer(model, OPTIMIZER, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, batch):
        def loss(model):
            losses = optax.softmax_cross_entropy_with_integer_labels(
                model(batch.x), batch.y
            )
            return losses.mean()

        value, grads = nnx.value_and_grad(loss)(model)
        optimizer.update(model, grads)
        return value

    values = [step(model, optimizer, examples(8, seed)) for seed in range(3)]
    np.testing.assert_allclose([r.loss for r in reports], values, rtol=1e-5)
    _, params, rest = nnx.split(model, nnx.Param, ...)
    assert_close(state.params, params)
    assert_close(state.rest, rest)
    assert int(state.step) == 3


def test_batch_statistics_and_dropout_keys_change(start, trained):
    _, before = start
    after, _ = trained
    moved = lambda kind: [
        not np.array_equal(a, b)
        for a, b in zip(
            *(
                jax.tree.leaves(nnx.filter_state(state.rest, kind))
                for state in (before, after)
            ),
            strict=True,
        )
    ]
    assert moved(nnx.BatchStat) == [True, True]
    assert moved(nnx.RngCount) == [True]


def test_the_step_does_not_change_its_arguments(start, plain_step):
    _, state = start
    copy = jax.tree.map(jnp.copy, state)
    plain_step(state, examples(8))
    assert_close(state, copy, 0.0)


def test_a_measured_step_has_the_same_update_and_the_statistics_of_measure(
    start, plain_step
):
    definition, state = start
    batch = examples(8)
    step = jax.jit(make_step(definition, classification, OPTIMIZER, watch=watch))
    after, report = step(state, batch)
    plain_after, plain = plain_step(state, batch)
    assert_close(after, plain_after)
    assert_close((report.loss, report.figures), (plain.loss, plain.figures))
    assert plain.watched is None

    objective = make_objective(definition, classification)
    run = jax.jit(lambda *a: measure(objective, *a, has_aux=True))
    flow = run(state.params, state.rest, batch)
    assert set(flow.taps) == {"first", "second"}
    assert_close(report.watched, watch(flow.taps, flow.responses))


def test_a_network_of_flax_layers_is_watched_under_the_names_of_measure_module():
    make = lambda: nnx.Sequential(*(nnx.Linear(4, 4, rngs=nnx.Rngs(k)) for k in (0, 1)))
    definition, state = train_state(make(), OPTIMIZER)
    watched = lambda taps, responses: (dict(taps), dict(responses))
    step = make_step(
        definition, classification, OPTIMIZER, watch=watched, schedule=every(2)
    )
    _, report = jax.jit(step)(state, examples(8))
    flow = measure_module(classification, make(), examples(8), has_aux=True)
    assert list(report.watched[0]) == sorted(flow.taps)
    assert "layers/0" in report.watched[0]
    assert_close(report.watched, (dict(flow.taps), dict(flow.responses)))


def test_a_schedule_selects_the_measured_steps_and_trains_alike(start):
    definition, state = start
    batches = jax.tree.map(lambda *a: jnp.stack(a), *[examples(8, k) for k in range(4)])
    options = [{"watch": watch}, {"watch": watch, "schedule": every(3)}]
    run = lambda step: jax.jit(lambda s, b: jax.lax.scan(step, s, b))(state, batches)
    (always, full), (scheduled, sparse) = (
        run(make_step(definition, classification, OPTIMIZER, **each))
        for each in options
    )
    assert_close(scheduled, always)
    assert_close((sparse.loss, sparse.figures), (full.loss, full.figures))
    assert_close(
        jax.tree.map(lambda a: a[::3], sparse.watched),
        jax.tree.map(lambda a: a[::3], full.watched),
    )
    for leaf in jax.tree.leaves(sparse.watched):
        np.testing.assert_array_equal(np.isnan(leaf), [False, True, True, False])


def test_evaluation_uses_running_statistics_and_no_dropout(start, trained):
    definition, _ = start
    state, _ = trained
    batch = examples(6, 9)
    evaluate = jax.jit(make_evaluation(definition, classification))
    figures = evaluate(state, batch)
    model = nnx.merge(definition, state.params, state.rest, copy=True)
    h = np.asarray(model.first(batch.x))
    mean, variance = np.asarray(model.norm.mean[...]), np.asarray(model.norm.var[...])
    h = (h - mean) / np.sqrt(variance + 1e-5)
    h = np.maximum(h * model.norm.scale[...] + model.norm.bias[...], 0.0)
    logits = model.output(h)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.y)
    np.testing.assert_allclose(figures["loss"], losses.mean(), rtol=1e-5)
    hits = np.argmax(logits, axis=-1) == batch.y
    np.testing.assert_allclose(figures["accuracy"], hits.mean(), rtol=1e-6)
    assert_close(evaluate(state, batch), figures, 0.0)


def test_classification_averages_over_time():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    y = np.array([[0, 3, 1], [2, 2, 0]])
    loss, figures = classification(lambda x: x, Labelled(logits, y))
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    own = np.take_along_axis(shares, y[..., None], -1)
    np.testing.assert_allclose(loss, -np.log(own).mean(), rtol=1e-5)
    np.testing.assert_allclose(figures["accuracy"], (logits.argmax(-1) == y).mean())


def test_regression_counts_errors_below_its_bound():
    y = jnp.zeros((4, 1))
    outputs = jnp.array([[0.039], [-0.039], [0.041], [-2.0]])
    loss, figures = regression(lambda x: x, Labelled(outputs, y))
    np.testing.assert_allclose(loss, np.mean(np.asarray(outputs) ** 2), rtol=1e-6)
    assert figures["accuracy"] == 0.5


def test_regression_refuses_targets_of_another_shape():
    with pytest.raises(ValueError, match=r"shape \(4, 1\) for targets of shape \(4,\)"):
        regression(lambda x: x, Labelled(jnp.zeros((4, 1)), jnp.zeros(4)))
