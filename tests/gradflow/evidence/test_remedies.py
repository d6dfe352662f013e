"""Remedies that are applied to a copy of a network, and what a verdict says of them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnets.gradflow import diagnose, measure_module, tap, verdicts
from jaxnets.gradflow.evidence.collecting import collector_of
from jaxnets.gradflow.evidence.remedies import Trials, with_remedy
from jaxnets.gradflow.evidence.remedies.changes import (
    open_gates,
    orthogonal_states,
    redrawn,
)
from jaxnets.gradflow.evidence.remedies.verdict import recommended
from jaxnets.gradflow.program.rewiring import rewired


X = jax.random.normal(jax.random.key(0), (32, 8))


class Net(nnx.Module):
    """Linear layers with an activation, and a head."""

    def __init__(self, rngs, depth=5, activation=nnx.relu, std=0.02):
        init = nnx.initializers.normal(std)
        self.body = nnx.List(
            [nnx.Linear(8, 8, kernel_init=init, rngs=rngs) for _ in range(depth)]
        )
        self.head = nnx.Linear(8, 3, rngs=rngs)
        self.activation = activation

    def __call__(self, x):
        for layer in self.body:
            x = self.activation(layer(x))
        return self.head(x)


def loss(model, x):
    return jnp.mean((model(x) - x[:, :3]) ** 2)


def test_an_initialiser_that_helps_is_said_to_and_leaves_the_model_alone():
    model = Net(nnx.Rngs(0))
    before = jax.tree.map(jnp.copy, nnx.state(model))
    verdict = diagnose(loss, model, X).verdicts[0]
    assert jax.tree.all(jax.tree.map(jnp.array_equal, before, nnx.state(model)))
    assert verdict.kind == "vanishing" and verdict.after is not None
    assert verdict.tried.startswith(
        "With He's initialisation (normal, variance 2/fan_in, biases at zero): "
    )
    assert 0.6 < verdict.after < 1.6
    assert verdict.remedy.startswith("Use He's initialiser")


def test_one_that_does_not_help_is_not_recommended():
    make = lambda rngs: Net(rngs, 5, nnx.sigmoid, 0.35)
    verdict = diagnose(loss, make, X, seeds=1).verdicts[0]
    assert verdict.kind == "vanishing"
    assert "LeCun's initialisation" in verdict.tried
    assert "so this does not help" in verdict.tried
    assert "With ReLU in place of sigmoid, and He's initialisation: " in verdict.tried
    assert verdict.remedy.startswith("Use ReLU instead of sigmoid")
    assert verdict.after is not None and verdict.after > 2 * verdict.number


def test_the_gain_is_lowered_until_an_activation_is_not_saturated():
    # LeCun's initialiser is what it has already.
    steep = Net(nnx.Rngs(0), 1, lambda x: nnx.sigmoid(25.0 * x), 8**-0.5)
    verdict = diagnose(loss, steep, 2.0 * X).verdicts[0]
    assert verdict.kind == "saturated"
    helps = "With a lower gain of body/0 (normal, variance 0.01/fan_in, biases at zero"
    assert "so this does not help" in verdict.tried and helps in verdict.tried
    assert verdict.after is not None and verdict.after < verdict.threshold
    assert verdict.remedy.startswith("Lower the gain of the initialiser")


class Layer(nnx.Module):
    """One sigmoid layer of a stack."""

    def __init__(self, rngs):
        init = nnx.initializers.lecun_normal()
        self.linear = nnx.Linear(8, 8, kernel_init=init, rngs=rngs)

    def __call__(self, x):
        return nnx.sigmoid(self.linear(x))


class Stack(nnx.Module):
    """Six layers in a scan, each of which is computed again in the backward pass."""

    def __init__(self, rngs):
        self.layers = nnx.vmap(Layer)(rngs.split(6))
        self.head = nnx.Linear(8, 3, rngs=nnx.Rngs(1))

    def __call__(self, x):
        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        @nnx.remat
        def run(x, layer):
            return layer(x)

        return self.head(run(x, self.layers))


def test_layers_in_a_scan_are_changed_too():
    verdict = diagnose(loss, Stack(nnx.Rngs(0)), X).verdicts[0]
    assert verdict.kind == "vanishing"
    assert "LeCun's initialisation (normal, variance 1/fan_in" in verdict.tried
    assert "With ReLU in place of sigmoid, and He's initialisation: " in verdict.tried
    assert verdict.remedy.startswith("Use ReLU instead of sigmoid")
    assert verdict.after is not None and verdict.after > 2 * verdict.number


class Attention(nnx.Module):
    """One head, whose queries and keys can be normalised."""

    def __init__(self, std, normalised=False):
        init, rngs = nnx.initializers.normal(std), nnx.Rngs(0)
        self.query, self.key, self.value = (
            nnx.Linear(8, 8, kernel_init=init, rngs=rngs) for _ in range(3)
        )
        self.normalised = normalised

    def __call__(self, x):
        q, k = self.query(x), self.key(x)
        if self.normalised:
            q, k = (a / jnp.sqrt(jnp.mean(a**2, -1, keepdims=True)) for a in (q, k))
        return nnx.softmax(q @ k.T / 8**0.5) @ self.value(x)


def test_queries_and_keys_are_normalised_where_an_attention_looks_at_one_key():
    mean_square = lambda model, x: jnp.mean((model(x) - x) ** 2)
    saturated = lambda model: [
        verdict
        for verdict in diagnose(mean_square, model, X).verdicts
        if verdict.kind == "saturated"
    ]
    (verdict,) = saturated(Attention(3.0))
    assert verdict.where.endswith(", key/softmax")
    assert verdict.tried.startswith("With query-key norm")
    assert verdict.after is not None and verdict.after < verdict.threshold
    assert verdict.remedy.startswith("Normalise queries and keys")
    assert "Dehghani et al. 2023" in verdict.reference
    assert not saturated(Attention(3.0, normalised=True))


@pytest.mark.parametrize(("rate", "words"), [(300.0, "a tenth"), (1e-8, "10 times")])
def test_another_rate_is_trained_with(rate, words):
    make = lambda rngs: Net(rngs, 2, std=0.5)
    options = {"seeds": 1, "optimizer": optax.sgd(rate), "steps": 10}
    verdict = next(
        v
        for v in diagnose(loss, make, X, **options).verdicts
        if v.kind.startswith("rate-too")
    )
    assert f"With {words} " in verdict.tried
    assert "the loss falls from" in verdict.tried
    assert verdict.after is not None
    ratio = verdict.after / verdict.number
    assert ratio < 0.11 if rate > 1 else ratio > 9


@pytest.mark.parametrize(
    ("first", "gain", "rate", "tried"),
    [
        (-100.0, 1.0, 1e-8, [False]),  # dead
        (jnp.nan, 1.0, 1e-8, [False]),
        (0.0, 0.0, 1e30, [True]),  # all at zero, but with a gradient
    ],
)
def test_a_rate_is_tried_where_the_first_network_has_a_gradient(
    first, gain, rate, tried
):
    made: list[nnx.Linear] = []

    def make(rngs):
        made.append(nnx.Linear(8, 3, rngs=rngs))
        made[-1].kernel[...] *= gain
        assert made[-1].bias is not None
        made[-1].bias[...] += first if len(made) == 1 else 0.0
        return made[-1]

    size = lambda model, x: jnp.mean((nnx.relu(model(x) + 1.0) - 2.0) ** 2)
    options = {"seeds": 2, "optimizer": optax.sgd(rate), "steps": 2}
    found = diagnose(size, make, X, **options).verdicts
    rates = [v for v in found if v.kind.startswith("rate-too")]
    assert [bool(verdict.tried) for verdict in rates] == tried


def test_what_training_makes_is_measured_again_after_another_training():
    # The loss falls until every unit is dead.
    size = lambda model, x: jnp.mean(nnx.relu(model.body[0](x)))
    options = {"optimizer": optax.sgd(0.6), "steps": 300}
    found = diagnose(size, Net(nnx.Rngs(0), 1, std=0.5), X, **options).verdicts
    verdict = next(v for v in found if v.kind == "dead")
    assert verdict.where == "model, after 300 updates, body/0/relu"
    assert verdict.tried.startswith("With a tenth of the learning rate: ")
    assert verdict.after is not None and verdict.after < 0.5 * verdict.number
    assert verdict.remedy.startswith("Lower the learning rate")


def test_clipping_is_trained_with_where_the_gradient_explodes_in_time():
    class Echo(nnx.Module):
        """A linear recurrence whose state grows by 1.5 in each of 20 steps."""

        def __init__(self):
            self.w_hh = nnx.Param(1.5 * jnp.eye(4))

        def __call__(self, x):
            def step(h, x_t):
                h = tap(h @ self.w_hh[...] + x_t, "h")
                return h, None

            return jax.lax.scan(step, jnp.zeros(4), x)[0]

    x = 1e-3 * jax.random.normal(jax.random.key(1), (20, 4))
    end = lambda model, x: jnp.sum((model(x) - 1.0) ** 2)
    options = {"optimizer": optax.sgd(0.01), "steps": 20, "seeds": 1}
    options |= {"classes": None, "name": "echo"}
    models, collector = collector_of(end, Echo(), [x], **options)
    records, _ = collector.collect(models)
    verdict = next(v for v in verdicts(records) if v.kind == "exploding")
    found = with_remedy(verdict, Trials(collector, models[0], records))
    falls = "With the gradient clipped to a norm of 1 the loss falls from "
    assert falls in found.tried and "; without, it ends at " in found.tried
    assert "clip" in found.remedy.lower()


def test_new_weights_have_the_variance_and_zeros_stay():
    class Layers(nnx.Module):
        def __init__(self, rngs):
            self.heads = nnx.MultiHeadAttention(
                4, 60, decode=False, use_bias=True, rngs=rngs
            )
            self.conv = nnx.Conv(50, 40, (3,), rngs=rngs)
            self.zero = nnx.Linear(
                9, 9, kernel_init=nnx.initializers.zeros_init(), rngs=rngs
            )
            self.kept = nnx.Linear(3, 3, rngs=rngs)

    model = Layers(nnx.Rngs(0))
    model.conv.bias = nnx.Param(jnp.ones(40))
    changed = redrawn(model, ["heads", "conv", "zero"], 2.0)
    kernels = {60: changed.heads.query.kernel, 150: changed.conv.kernel}
    for fan_in, kernel in kernels.items():
        np.testing.assert_allclose(np.var(kernel[...]) * fan_in, 2.0, rtol=0.15)
    assert not jnp.any(changed.zero.kernel[...])
    assert not jnp.any(changed.conv.bias[...])
    np.testing.assert_array_equal(changed.kept.kernel[...], model.kept.kernel[...])
    assert redrawn(model, ["zero"], 2.0) is None


@pytest.mark.parametrize("cell", [nnx.OptimizedLSTMCell, nnx.LSTMCell, nnx.GRUCell])
def test_the_gate_that_keeps_the_state_is_opened(cell):
    make = lambda: nnx.RNN(cell(3, 4, rngs=nnx.Rngs(0)))
    opened = open_gates(make(), "cell/h", 50.0)
    x = jax.random.normal(jax.random.key(1), (2, 6, 3))
    start = cell(3, 4, rngs=nnx.Rngs(0)).initialize_carry((2, 3), nnx.Rngs(1))
    kept = jax.tree.map(lambda h: h + 0.5, start)
    carry, _ = opened.cell(kept, x[:, 0])
    state, before = (carry[0], kept[0]) if isinstance(carry, tuple) else (carry, kept)
    if cell is nnx.GRUCell:
        np.testing.assert_allclose(state, before, atol=1e-5)
    else:
        # c' = f c + i g, with f at 1.
        shut, _ = make().cell(kept, x[:, 0])
        assert jnp.all(state - shut[0] > 0)
    assert open_gates(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), "", 1.0) is None


def test_recurrent_weights_become_orthogonal():
    cell = nnx.SimpleCell(3, 4, rngs=nnx.Rngs(0))
    changed = orthogonal_states(nnx.RNN(cell), "cell")
    w = changed.cell.dense_h.kernel[...]
    np.testing.assert_allclose(w @ w.T, np.eye(4), atol=1e-5)
    np.testing.assert_array_equal(changed.cell.dense_i.kernel, cell.dense_i.kernel)
    assert orthogonal_states(nnx.Linear(4, 4, rngs=nnx.Rngs(0)), "") is None


def test_what_is_rewired_gives_the_network_written_out():
    model = Net(nnx.Rngs(0), 3, jnp.tanh, 0.5)
    taps = [f"body/{n}" for n in range(3)]

    def shortcut(model, x):
        y = model.body[0](x)
        for layer in list(model.body)[1:]:
            y = y + 0.5 * layer(jnp.tanh(y))
        return jnp.mean((model.head(jnp.tanh(y)) - x[:, :3]) ** 2)

    def rectified(model, x):
        for layer in model.body:
            x_ = nnx.relu(layer(x if layer is model.body[0] else x_))
        return jnp.mean((model.head(x_) - x[:, :3]) ** 2)

    def normalised(model, x):
        for n, layer in enumerate(model.body):
            y = layer(x)
            if n > 0:
                y = y / jnp.sqrt(jnp.mean(y**2, axis=-1, keepdims=True) + 1e-6)
            x = jnp.tanh(y)
        return jnp.mean((model.head(x) - X[:, :3]) ** 2)

    cases = [
        (rewired(loss, shortcuts=[taps], scale=0.5), shortcut),
        (rewired(loss, relu_after=taps), rectified),
        (rewired(loss, normalised=taps[1:3]), normalised),
    ]
    for changed, written_out in cases:
        # The changes are made at taps.
        found = measure_module(changed, model, X)
        value, grads = nnx.value_and_grad(written_out)(model, X)
        np.testing.assert_allclose(found.value, value, rtol=1e-5)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
            found.grads,
            grads,
        )


def test_alternatives_are_left_out_and_never_all():
    remedy = "Use ReLU; add shortcuts; normalise."
    assert recommended(remedy, "", ["ReLU"]) == "Add shortcuts; normalise."
    assert recommended(remedy, "normal", []) == "Normalise; use ReLU; add shortcuts."
    assert recommended(remedy, "", ["ReLU", "short", "normal"]) == remedy


def test_a_rank_is_measured_again_where_it_has_collapsed():
    rngs = nnx.Rngs(0)
    layers = [nnx.Linear(8, 8, rngs=rngs) for _ in range(14)]
    head = nnx.Linear(8, 3, rngs=nnx.Rngs(1))
    model = nnx.Sequential(*(f for n in layers for f in (n, nnx.sigmoid)), head)
    options = {"optimizer": None, "steps": 0, "classes": None, "name": "model"}
    _, collector = collector_of(loss, model, [X[:16]], seeds=1, **options)
    records, _ = collector.collect([model])
    verdict = next(v for v in verdicts(records) if v.kind == "rank-collapse")
    assert verdict.number <= verdict.threshold
    # For a warning no other program is compiled.
    warning = verdict._replace(severity="warning")
    found = with_remedy(warning, Trials(collector, model, records))
    assert re.search(r"rank of 1(\.0\d)?, so this does not help", found.tried), (
        found.tried
    )
