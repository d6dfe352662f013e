"""Probes against arrays whose numbers are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets.gradflow.evidence.structure import structure_records
from jaxnets.gradflow.probes import make_probes
from jaxnets.gradflow.probes.forward import (
    distinct_share,
    effective_rank,
    flat_share,
)
from jaxnets.gradflow.probes.padding import padded_steps
from jaxnets.gradflow.program import tap_activations, trace_structure
from jaxnets.runs.records import Record


WHOLE = Record("model", "m", "m", 1.0, 0, 0, "loss", "", None, 0.0)


def test_ranks_of_known_arrays():
    draw = np.random.default_rng(0).normal
    flat = draw(size=(50, 2)) @ draw(size=(2, 9))
    assert 1 < effective_rank(jnp.asarray(flat)) <= 2
    line = draw(size=(7, 1)) * np.ones(5)
    np.testing.assert_allclose(effective_rank(jnp.asarray(line)), 1.0, rtol=1e-5)
    # An offset that all rows share is no direction, but makes them alike.
    shifted = jnp.asarray(flat + 100.0)
    np.testing.assert_allclose(
        effective_rank(shifted), effective_rank(jnp.asarray(flat)), rtol=1e-3
    )
    exact = np.var(shifted, axis=0).sum() / np.mean(np.sum(shifted**2, axis=1))
    np.testing.assert_allclose(distinct_share(shifted), exact, rtol=1e-3)


@pytest.mark.parametrize(
    ("array", "padded"),
    [
        ([[3, 0, 0, 0], [5, 7, 0, 0], [2, 8, 4, 0]], 6),
        # All of one length, all different, and zeros at the start as well.
        ([[3, 1, 0, 0], [5, 7, 0, 0], [2, 8, 0, 0]], None),
        ([[3, 1, 2, 5], [5, 7, 6, 4], [2, 8, 9, 3]], None),
        ([[0, 0, 0, 0], [5, 7, 0, 0], [2, 8, 4, 0]], None),
    ],
)
def test_what_looks_padded(array, padded):
    found = padded_steps(np.array(array))
    # Of tokens the first of each sequence may be the one that ends it.
    tokens = padded and padded - len(array)
    assert (found if found is None else found.sum()) == tokens
    steps = np.array(array, np.float32)[..., None] * np.ones(3)
    found = padded_steps(steps)
    assert (found if found is None else found.sum()) == padded


class Words(nnx.Module):
    def __init__(self, rngs, masked):
        self.embed = nnx.Embed(9, 4, rngs=rngs)
        self.masked = masked

    def __call__(self, tokens):
        x = self.embed(tokens)
        real = tokens != 0
        if self.masked == "after the end":
            # The first zero is a token that ends the sequence.
            real = real | jnp.roll(real, 1, axis=1)
        if self.masked:
            x = jnp.where(real[..., None], x, 0.0)
        return x


@pytest.mark.parametrize("masked", [True, False, "after the end"])
def test_the_share_of_padding(masked):
    tokens = jnp.array([[3, 0, 0, 0], [5, 7, 0, 0], [2, 8, 4, 0]])
    # Each step has the same part in the loss, so that padding has 3 of 12 parts.
    loss = lambda model, tokens: (jnp.sum(model(tokens)), None)
    model = Words(nnx.Rngs(0), masked)
    records = make_probes(loss, model, (tokens,))(WHOLE, model, (tokens,), True)
    (share,) = [r.value for r in records if r.metric == "padding_share"]
    assert share == (0.0 if masked else 0.25)


@jax.custom_vjp
def tripled(x):
    return 3.0 * x


tripled.defvjp(lambda x: (tripled(x), None), lambda _, g: (2.0 * g,))


@jax.custom_jvp
def cubed(x):
    return x**3


cubed.defjvp(lambda xs, ts: (cubed(xs[0]), 3 * xs[0] ** 2 * ts[0]))


@jax.custom_jvp
def rounded(x):
    return jnp.round(x)


rounded.defjvp(lambda xs, ts: (rounded(xs[0]), ts[0]))


@jax.custom_vjp
def labelled(x, labels):
    return jnp.sum(x * labels, axis=-1, keepdims=True)


# Labels need no gradient.
labelled.defvjp(lambda x, y: (labelled(x, y), y), lambda y, g: (g * y, None))


@jax.custom_jvp
def sine(x):
    return jnp.sin(x)


sine.defjvp(lambda xs, ts: (sine(xs[0]), jnp.cos(xs[0]) * ts[0]))


@jax.custom_jvp
def quantised(x, step):
    return jnp.round(x / step) * step


# The step is learned, and the rounding passes its gradient straight through.
quantised.defjvp(
    lambda xs, ts: (
        quantised(*xs),
        ts[0] + (jnp.round(xs[0] / xs[1]) - xs[0] / xs[1]) * ts[1],
    )
)


def test_derivatives_by_hand_that_are_meant(rng):
    labels = jnp.asarray(rng.normal(size=(64, 5)), jnp.float32)
    model = nnx.Linear(3, 5, rngs=nnx.Rngs(0))
    model = nnx.Dict(layer=model, step=nnx.Param(jnp.float32(0.5)))

    def loss(model, x):
        x = model.layer(x)
        y = labelled(quantised(x, model.step[...]), labels)
        return jnp.sum(y * sine(100 * x)), None

    x = jnp.asarray(rng.normal(size=(64, 3)), jnp.float32)
    records = make_probes(loss, model, (x,))(WHOLE, model, (x,), True)
    found = {(r.metric, r.place.partition("|")[2]): r.value for r in records}
    assert found["backward_error", "labelled"] < 0.02
    assert found["backward_error", "sine"] < 0.02
    assert ("surrogate_error", "quantised") in found


class Custom(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.Linear(3, 5, bias_init=dead_start, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.layer(x))
        return rounded(cubed(tripled(x)))


def dead_start(key, shape, dtype):
    return jnp.array([-99.0, -99.0, 0.0, 1.0, 2.0], dtype)


def test_derivatives_by_hand_and_units():
    model = Custom(nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (64, 3))
    loss = lambda model, x: (jnp.sum(model(x)), None)
    records = make_probes(loss, model, (x,))(WHOLE, model, (x,), True)
    found = {(r.metric, r.place): r.value for r in records}
    # The rule of `tripled` is a third too small; that of `cubed` is right; that of
    # `rounded` is meant to be another one.
    wrong = found["backward_error", "layer|tripled"]
    np.testing.assert_allclose(wrong, 1 / 3, rtol=1e-2)
    assert found["backward_error", "layer|cubed"] < 0.02
    assert ("surrogate_error", "layer|rounded") in found
    np.testing.assert_allclose(found["dead_share", "layer/relu"], 0.4)
    assert found["off_share", "layer/relu"] > 0.4


@jax.custom_vjp
def arctangent(x):
    return jnp.arctan(x)


arctangent.defvjp(lambda x: (arctangent(x), x), lambda x, g: (g / (1 + jnp.square(x)),))


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (lambda x: x / (1 + jnp.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
        (arctangent, lambda x: 1 / (1 + x**2)),
        (lambda x: jnp.clip(3 * x, -1, 1), lambda x: 3.0 * (np.abs(x) < 1 / 3)),
        (jnp.sin, None),
        (lambda x: jnp.where(x > 0, x, 0.1 * x), None),
    ],
)
def test_flat_activations_are_known_by_their_derivative(function, derivative):
    x = np.random.default_rng(0).normal(size=(40, 5)) * 4
    share = flat_share(function, jnp.asarray(x, jnp.float32))
    if derivative is None:
        assert jnp.isnan(share)
        return
    largest = derivative(np.linspace(-4, 4, 200) + 1e-3).max()
    np.testing.assert_allclose(share, np.mean(derivative(x) < 0.0591 * largest))


class Attention(nnx.Module):
    """Queries, keys and values; then a router and an activation without a name."""

    def __init__(self, rngs):
        self.query, self.key, self.route = (
            nnx.Linear(4, 4, rngs=rngs) for _ in range(3)
        )

    def __call__(self, x):
        logits = jnp.einsum("btd,bsd->bts", self.query(x), self.key(x))
        weights = nnx.softmax(jnp.where(jnp.tri(6, dtype=bool), logits, -1e9))
        mixed = jnp.einsum("bts,bsd->btd", weights, x)
        return nnx.softmax(self.route(mixed / (1 + jnp.abs(mixed))))


def test_attentions_are_found_and_routers_are_none():
    model, x = Attention(nnx.Rngs(0)), jax.random.normal(jax.random.key(0), (2, 6, 4))
    loss = lambda model, x: (jnp.sum(model(x) ** 2), None)
    records = make_probes(loss, model, (x,))(WHOLE, model, (x,), True)
    found = {(r.metric, r.place): r.value for r in records}
    entropies = [place for metric, place in found if metric == "attention_entropy"]
    assert entropies == ["key/softmax"]
    assert 0.3 < found["attention_entropy", "key/softmax"] < 1


class Gated(nnx.Module):
    """The gate's activation comes after the values, but does not depend on them."""

    def __init__(self, rngs):
        shut = nnx.initializers.constant(-9.0)
        self.gate = nnx.Linear(4, 4, bias_init=shut, rngs=rngs)
        self.values = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x):
        gate, values = self.gate(x), self.values(x)
        return nnx.relu(gate) * values


def test_an_activation_is_named_after_what_it_acts_on():
    model, x = Gated(nnx.Rngs(0)), jax.random.normal(jax.random.key(0), (6, 4))
    loss = tap_activations(lambda model, x: (jnp.sum(model(x) ** 2), None))
    records = make_probes(loss, model, (x,))(WHOLE, model, (x,), True)
    dead = {r.place: r.value for r in records if r.metric == "dead_share"}
    assert dead == {"gate/relu": 1.0}


class Highway(nnx.Module):
    """One gate, which is shut, in two layers."""

    def __init__(self, rngs):
        shut = nnx.initializers.constant(-9.0)
        self.gate = nnx.Linear(4, 4, bias_init=shut, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(2)])

    def __call__(self, x):
        for layer in self.layers:
            gate = nnx.sigmoid(self.gate(x))
            x = gate * nnx.tanh(layer(x)) + (1 - gate) * x
        return x


def test_the_places_that_may_be_flat_are_those_of_the_shares():
    model, x = Highway(nnx.Rngs(0)), jnp.ones((6, 4))
    loss = tap_activations(lambda model, x: (jnp.sum(model(x) ** 2), None))
    structure = trace_structure(loss, model, x, has_aux=True)
    meant = {
        record.place.partition("|")[0]
        for record in structure_records(structure, [], WHOLE)
        if record.metric == "may_be_flat"
    }
    records = make_probes(loss, model, (x,))(WHOLE, model, (x,), True)
    shares = {r.place for r in records if r.metric == "flat_share" and r.value == 1}
    assert shares == {"gate/sigmoid", "gate/sigmoid#2"}
    assert shares <= meant
