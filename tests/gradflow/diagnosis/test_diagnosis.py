"""Verdicts on networks that are built to be broken, or sound, in a known way.

The networks are measured, not made up: weights, inputs and depth are drawn and set
here, and none of the thresholds was chosen by them.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import ArrayLike

from jaxnets import functional as F
from jaxnets.gradflow import (
    dead_units,
    flow_records,
    gradient_correlation,
    measure,
    saturation,
    tap,
    verdicts,
)
from tests.gradflow.diagnosis.run_records import ends, one


DEPTH = 12
SEEDS = range(3)
FAULTS = {"vanishing", "exploding", "saturated", "dead", "shattered", "non-finite"}
HE = np.sqrt(2.0)


def layers_of(activation, x, weights, biases):
    found = []
    for number, (w, b) in enumerate(zip(weights, biases, strict=True)):
        x = tap(activation(x @ w + b[None]), f"layer{number}")
        found.append(x)
    return found


@functools.partial(jax.jit, static_argnums=0)
def measured_mlp(activation, weights, biases, x, direction):
    def loss(parameters):
        return jnp.mean(layers_of(activation, x, *parameters)[-1] @ direction)

    hidden = layers_of(activation, x, weights, biases)
    kind = {jnp.tanh: "tanh", jax.nn.sigmoid: "sigmoid"}.get(activation, "relu")
    shares = [saturation(h, kind) for h in hidden], [dead_units(h) for h in hidden]
    return measure(loss, (weights, biases)), shares


def judged_mlp(
    activation,
    gains,
    *,
    biases: ArrayLike = 0.0,
    width=32,
    seeds=SEEDS,
    taps_only=False,
):
    """Records of an MLP whose layer k has weights of the gain `gains[k]`."""
    gains, biases = (np.broadcast_to(v, (DEPTH,)) for v in (gains, biases))
    records = []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        weights = [
            np.float32(gain) * generator.normal(size=(width, width)).astype(np.float32)
            for gain in gains / np.sqrt(width)
        ]
        shifts = [np.full(width, bias, np.float32) for bias in biases]
        x, direction = generator.normal(size=(64, width)), generator.normal(size=width)
        arrays = [np.asarray(v, np.float32) for v in (x, direction)]
        flow, (flat, dead) = measured_mlp(activation, weights, shifts, *arrays)
        metrics = {"dead_share": dict(zip(flow.taps, dead, strict=True))}
        if activation is not jax.nn.relu:
            metrics = {"saturated_share": dict(zip(flow.taps, flat, strict=True))}
        records += flow_records(
            flow, name="net", seed=seed, metrics=None if taps_only else metrics
        )
    return records


def at_layer(k, gain, others):
    gains = np.full(DEPTH, float(others))
    gains[k] = gain
    return gains


def faults(records):
    return {verdict.kind for verdict in verdicts(records)} & FAULTS


@pytest.mark.parametrize("k", [2, 6, 11])
@pytest.mark.parametrize(
    ("activation", "others"), [(jax.nn.relu, HE), (jnp.tanh, 1.0)], ids=["ReLU", "tanh"]
)
def test_a_layer_that_loses_the_gradient_is_named(activation, others, k):
    records = judged_mlp(activation, at_layer(k, 1e-4, others))
    verdict = one(verdicts(records), kind="vanishing")
    assert verdict.where == f"net, before training, layer{k}"
    assert f"through layer{k} " in verdict.sentence
    assert verdict.number < ends(verdict)[1] < verdict.threshold == 0.1
    assert "ReLU" in verdict.remedy and verdict.reason and verdict.other_cause


@pytest.mark.parametrize("k", [1, 7])
def test_a_layer_that_blows_the_gradient_up_is_named(k):
    records = judged_mlp(jax.nn.relu, at_layer(k, 150.0, HE))
    verdict = one(verdicts(records), kind="exploding")
    assert verdict.where.endswith(f"layer{k}")
    assert verdict.number > ends(verdict)[0] > verdict.threshold == 10
    assert "clip the gradient" in verdict.remedy


def test_a_layer_that_ends_the_gradient_is_named():
    # Its units are off at every input; the biases of the others keep those on.
    records = judged_mlp(jax.nn.relu, HE, biases=at_layer(4, -100.0, 0.1))
    found = verdicts(records)
    ended = one(found, kind="vanishing")
    assert (ended.number, ended.where) == (0.0, "net, before training, layer4")
    assert "exactly zero, in 3 of 3 seeds" in ended.sentence
    dead = [verdict for verdict in found if verdict.kind == "dead"]
    assert {verdict.where for verdict in dead} == {"net, before training, layer4"}
    assert all(verdict.number == 1 for verdict in dead)


def test_units_that_are_dead_but_not_all_of_them():
    records = judged_mlp(jax.nn.relu, HE, biases=at_layer(3, -4.2, 0.0))
    dead = one(verdicts(records), kind="dead")
    assert "layer3" in dead.where
    assert 0.75 < ends(dead)[0] <= dead.number < 1
    assert "cannot come back" in dead.sentence


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_a_rate_that_all_layers_share_names_where_it_begins(rate):
    records = judged_mlp(jax.nn.relu, rate * HE)
    verdict = one(verdicts(records), kind="vanishing" if rate < 1 else "exploding")
    np.testing.assert_allclose(verdict.number, rate, rtol=0.15)
    # A factor of two in each layer is tenfold after 3.3 of them.
    assert "From layer8 back" in verdict.sentence or "layer7" in verdict.sentence


def test_saturated_units():
    records = judged_mlp(jnp.tanh, at_layer(5, 12.0, 1.0))
    verdict = one(verdicts(records), kind="saturated")
    assert "layer5" in verdict.where
    assert verdict.number > ends(verdict)[0] > verdict.threshold == 0.5
    assert "flat" in verdict.sentence and "gain" in verdict.remedy


def test_a_deep_sigmoid_network_vanishes():
    assert "vanishing" in faults(judged_mlp(jax.nn.sigmoid, 1.0))


@pytest.mark.parametrize(
    ("activation", "gain", "width"),
    [
        (jax.nn.relu, HE, 100),
        (jnp.tanh, 1.0, 24),
        (jax.nn.elu, 1.2, 50),
        (jax.nn.gelu, 1.5, 40),
    ],
    ids=["ReLU", "tanh", "ELU", "GELU"],
)
def test_a_sound_network_raises_no_alarm(activation, gain, width):
    for start in (0, 50):
        seeds = range(start, start + 3)
        records = judged_mlp(activation, gain, width=width, seeds=seeds)
        assert not faults(records)
        assert one(verdicts(records), kind="healthy").reason


@pytest.mark.parametrize("measured", [True, False])
def test_saturation_is_seen_by_the_taps_themselves(measured):
    # The share of the taps alone, without that which `saturation` computes.
    gains = at_layer(5, 12.0, 1.0) if measured else np.ones(DEPTH)
    records = judged_mlp(jnp.tanh, gains, taps_only=True)
    assert ("saturated" in faults(records)) == measured


def test_a_number_that_is_not_finite_is_traced_to_its_layer():
    records = judged_mlp(jax.nn.relu, at_layer(6, np.nan, HE))
    verdict = one(verdicts(records), kind="non-finite")
    assert "in the forward pass at layer6" in verdict.where
    assert verdict.number > verdict.threshold == 0
    np.testing.assert_allclose(ends(verdict), verdict.number)
    assert "broken example" in verdict.other_cause


@functools.partial(jax.jit, static_argnums=0)
def measured_conv(residual, kernels, x):
    def loss(kernels):
        h = x
        for number, kernel in enumerate(kernels):
            y = F.conv(jax.nn.relu(h), kernel)
            h = tap(h + y / np.sqrt(len(kernels)) if residual else y, f"block{number}")
        return jnp.mean(h**2)

    return measure(loss, kernels)


def test_convolutions_plain_against_residual():
    records = []
    for seed in SEEDS:
        generator = np.random.default_rng(seed)
        shape = 10, 3, 3, 8, 8
        kernels = list(generator.normal(size=shape, scale=0.5 / np.sqrt(72)))
        kernels = [kernel.astype(np.float32) for kernel in kernels]
        x = generator.normal(size=(8, 6, 6, 8)).astype(np.float32)
        for name, residual in (("plain", False), ("residual", True)):
            flow = measured_conv(residual, kernels, x)
            records += flow_records(flow, name=name, seed=seed)
    found = verdicts(records)
    plain = "plain, before training, block0 to block9"
    assert one(found, where=plain).kind == "vanishing"
    assert one(found, where="residual, before training").kind == "healthy"
    contrast = one(found, kind="contrast")
    assert contrast.where == "plain against residual, before training"
    assert ends(contrast)[0] > 1, "beyond tenfold for sure"
    assert "flows better in the residual network, by a factor of" in contrast.sentence
    assert "3 seeds, paired" in contrast.sentence
    assert "Both have 5,760 parameters." in contrast.sentence
    assert contrast.remedy.endswith("prefer residual.")


@functools.partial(jax.jit, static_argnums=(0, 1))
def gradients_at_inputs(residual, depth, weights, x):
    """Per input, with the statistics of BatchNorm held fixed in the backward pass."""

    def output(x):
        h = x
        for w in weights[:depth]:
            mean, std = jax.lax.stop_gradient(
                (jnp.mean(h, 0, keepdims=True), jnp.std(h, 0, keepdims=True))
            )
            y = jax.nn.relu((h - mean) / std) @ w
            h = h + y if residual else y
        return jnp.sum(h[:, 0])

    return gradient_correlation(jax.grad(output)(x))


def test_shattered_gradients_of_a_plain_network_and_not_of_a_residual_one():
    depth, width = 16, 64
    records = []
    for seed in SEEDS:
        generator = np.random.default_rng(seed)
        weights = generator.normal(
            size=(depth, width, width), scale=HE / np.sqrt(width)
        )
        x = generator.normal(size=(64, width)).astype(np.float32)
        for name, residual in (("plain", False), ("residual", True)):
            value = gradients_at_inputs(residual, depth, np.float32(weights), x)
            flow = measure(lambda w: jnp.sum(w), jnp.ones(2))
            metrics = {"gradient_correlation": value}
            records += flow_records(flow, name=name, seed=seed, metrics=metrics)
    found = verdicts(records)
    plain = one(found, kind="shattered")
    assert (
        plain.where.startswith("plain") and ends(plain)[1] <= plain.threshold == 1 / 64
    )
    assert "white noise" in plain.sentence and "shortcut" in plain.remedy
    assert one(found, kind="healthy").number > 10 * plain.threshold


@functools.partial(jax.jit, static_argnums=0)
def measured_recurrence(run, params, x):
    return measure(lambda p: jnp.mean(run(p, x)[1][:, -1] ** 2), params)


def recurrence(run, params_of, name, *, hidden, gates, open_gate=0.0):
    """Records of a recurrence; the second of the `gates` keeps the old state."""
    records = []
    for seed in SEEDS:
        draw = np.random.default_rng(seed).normal
        bias = np.zeros(gates * hidden, np.float32)
        bias[hidden : 2 * hidden] = open_gate
        width = gates * hidden
        params = params_of(
            np.float32(draw(size=(3, width), scale=1 / 3)),
            np.float32(draw(size=(hidden, width), scale=0.77 / hidden**0.5)),
            bias,
        )
        x = np.float32(draw(size=(16, 40, 3)))
        flow = measured_recurrence(run, params, x)
        records += flow_records(flow, name=name, seed=seed)
    return records


def test_time_is_judged_by_the_states_and_contrasted():
    # Of about as many parameters: 2,496 and 2,688.
    rnn = recurrence(F.rnn, F.RNNParams, "RNN", hidden=48, gates=1)
    options = {"hidden": 24, "gates": 4, "open_gate": 4.0}
    lstm = recurrence(F.lstm, F.LSTMParams, "LSTM", **options)
    found = verdicts(rnn + lstm)
    lost = one(found, where="RNN, h, before training")
    assert lost.kind == "vanishing" and "LSTM or GRU" in lost.remedy
    assert "it first falls below a tenth" in lost.sentence
    assert one(found, where="LSTM, c, before training").kind == "healthy"
    # Its forget gate is so far open that it is saturated, which is no fault.
    assert not any("LSTM, f" in verdict.where for verdict in found)
    assert not [verdict for verdict in found if verdict.kind == "saturated"]
    contrast = one(found, kind="contrast")
    assert ends(contrast)[0] > 0 and contrast.remedy.endswith("prefer LSTM.")


def test_a_gru_that_was_started_open_raises_no_alarm():
    options = {"hidden": 20, "gates": 3, "open_gate": 4.5}
    assert not faults(recurrence(F.gru, F.GRUParams, "GRU", **options))
