"""Records of measured networks: their positions, and which taps belong together."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets.gradflow import flow_records, measure, measure_module, tap, verdicts
from jaxnets.gradflow.measurement import Flow
from jaxnets.tap import TapStats
from tests.gradflow.diagnosis.run_records import one


def flow_of(norms):
    """A measurement whose taps have the given norms."""
    taps = {
        name: TapStats(*map(jnp.asarray, (np.float32(norm), 0.0, 0.0, 0.0)))
        for name, norm in norms.items()
    }
    grads = {"w": jnp.ones((3, 4)), "b": jnp.ones(4)}
    return Flow(jnp.float32(0.5), None, grads, taps, responses={})


def places(records, metric="log10_gradient_norm"):
    return [(r.place, r.position) for r in records if r.metric == metric]


def test_places_along_depth_and_time():
    norms = {"stem": 1.0, "stage/block": [1.0, 10.0], "rnn/h": [1.0, 1.0, 1.0]}
    records = flow_records(flow_of(norms | {"head": 100.0}), seed=4, step=7)
    assert places(records) == [
        ("stem", 0),
        ("stage/block[0]", 1),
        ("stage/block[1]", 2),
        *(("rnn/h", t) for t in range(3)),
        ("head", 3),
    ]
    assert {(r.study, r.arm, r.size, r.seed, r.step) for r in records} == {
        ("model", "model", 4.0, 4, 7)
    }
    values = {r.metric: r.value for r in records if r.position is None}
    assert values == {"loss": 0.5, "parameter_count": 16.0}
    values = [r.value for r in records if r.position is not None]
    np.testing.assert_allclose(values, [0, 0, 1, 0, 0, 0, 2], atol=1e-6)


def test_time_inside_of_layers_and_patterns_of_stacks():
    records = flow_records(flow_of({"rnns/h": np.ones((2, 3))}))
    assert places(records)[2:4] == [("rnns/h[0]", 2), ("rnns/h[1]", 0)]
    records = flow_records(flow_of({"layers/mlp": np.ones(3)}), stacks=["*/mlp"])
    assert places(records)[-1] == ("layers/mlp[2]", 2)


def test_what_is_not_understood_is_refused():
    with pytest.raises(ValueError, match=r"'h' has statistics of shape \(2, 2, 2\)"):
        flow_records(flow_of({"h": np.ones((2, 2, 2))}))
    with pytest.raises(
        ValueError, match=r"'dead_share' at 'g', which is no tap.* of h"
    ):
        flow_records(flow_of({"h": 1.0}), metrics={"dead_share": {"g": 0.5}})


def test_the_taps_keep_their_order_under_jit():
    def loss(w):
        for name in ("stem", *(f"layer{n}" for n in range(11)), "head"):
            w = tap(w * 2.0, name)
        return jnp.sum(w)

    records = flow_records(jax.jit(lambda w: measure(loss, w))(jnp.ones(2)))
    names = [place for place, _ in places(records)]
    assert names == ["stem", *(f"layer{n}" for n in range(11)), "head"]


def test_branches_are_compared_with_branches():
    # Inside of a block the gradient is smaller than on its shortcut: no fault.
    norms = {"stem": 1.0}
    for n in range(5):
        norms |= {f"blocks/{n}/conv": 0.01, f"blocks/{n}": 1.0}
    found = verdicts(flow_records(flow_of(norms | {"head": 1.0, "__call__": 1.0})))
    assert [verdict.kind for verdict in found] == ["healthy"]
    assert "over 6 layers" in found[0].sentence
    # A loss that only the branches have is still seen.
    lossy = norms | {f"blocks/{n}/conv": 10.0 ** (2 * n - 8) for n in range(5)}
    assert {v.kind for v in verdicts(flow_records(flow_of(lossy)))} == {"vanishing"}
    # Last layers of branches that start at zero pass nothing back at first.
    zero = norms | {f"blocks/{n}/conv": 0.0 for n in range(5)}
    assert [v.kind for v in verdicts(flow_records(flow_of(zero)))] == ["healthy"]


def test_a_role_is_a_place_in_every_block():
    # The first convolution of a block and its second are two roles; tenfold between
    # blocks is no fault of one of them, a hundredfold is.
    for fall, kinds in ((15.0, {"healthy"}), (150.0, {"exploding"})):
        norms = {"stem": 1.0}
        for n in range(4):
            conv1 = 1e-3 * fall ** (1 - n / 3)
            norms |= {f"blocks/{n}/conv1": conv1, f"blocks/{n}/conv2": 1.0}
            norms[f"blocks/{n}"] = 1.0
        assert {v.kind for v in verdicts(flow_records(flow_of(norms)))} == kinds


def test_an_output_that_the_loss_meets_in_the_last_step():
    # The loss sees h_T; h of the steps before only through gates. Cells of several
    # outputs are judged, not what is inside of them.
    h = np.append(np.full(20, 0.07), 1.0)
    norms = {"rnn/cell/gate": 1e-9 ** np.linspace(1, 0, 21)}
    norms |= {"rnn/cell/0/0": np.full(21, 0.5), "rnn/cell/0/1": h}
    found = verdicts(flow_records(flow_of(norms)))
    assert [(verdict.where, verdict.kind) for verdict in found] == [
        ("model, rnn/cell/0/0, before training", "healthy"),
        ("model, rnn/cell/0/1, before training", "healthy"),
    ]
    cut = h.copy()
    cut[:-1] = 0.0
    kinds = {v.kind for v in verdicts(flow_records(flow_of(norms | {"rnn/h": cut})))}
    assert kinds == {"vanishing"}


class Block(nnx.Module):
    """A linear layer and its activation."""

    def __init__(self, width, activation, gain, bias, rngs):
        kernel_init = nnx.initializers.variance_scaling(gain, "fan_in", "normal")
        options = {"kernel_init": kernel_init, "bias_init": lambda *_: bias}
        self.linear = nnx.Linear(width, width, **options, rngs=rngs)
        self.activation = activation

    def __call__(self, x):
        return self.activation(self.linear(x))


def kinds_of(make, loss=lambda model, x: jnp.mean(model(x) ** 2)):
    """Verdicts on a model, from two seeds."""
    x = jax.random.normal(jax.random.key(0), (24, 16))
    measured = nnx.jit(lambda model, x: measure_module(loss, model, x))
    records = []
    for seed in range(2):
        records += flow_records(measured(make(nnx.Rngs(seed)), x), seed=seed)
    return {verdict.kind: verdict for verdict in verdicts(records)}


def stack(activation, gain):
    bias = jnp.linspace(-0.2, 0.2, 16)
    return lambda rngs: nnx.Sequential(
        *[Block(16, activation, gain, bias, rngs) for _ in range(4)]
    )


def test_both_ends_of_a_sigmoid_are_saturated_and_small_relus_are_not():
    found = kinds_of(stack(nnx.sigmoid, 900.0))["saturated"]
    assert found.where == "model, before training, layers/0" and found.number > 0.75
    assert "saturated" not in kinds_of(stack(nnx.relu, 0.02))
    assert "saturated" not in kinds_of(stack(nnx.sigmoid, 1.0))


def test_what_is_not_finite_has_not_vanished():
    found = kinds_of(stack(lambda x: jnp.log(nnx.relu(x)), 1.0))
    assert list(found) == ["non-finite"]
    assert "layers/0" in found["non-finite"].where


def test_branches_that_start_at_zero_are_not_dead():
    class Net(nnx.Module):
        def __init__(self, rngs):
            zero = {"kernel_init": nnx.initializers.zeros, "rngs": rngs}
            self.ends = nnx.List([nnx.Linear(16, 16, **zero) for _ in range(3)])

        def __call__(self, x):
            for end in self.ends:
                x = x + end(nnx.relu(x))
            return x

    assert "dead" not in kinds_of(lambda rngs: Net(rngs))
    shut = lambda rngs: nnx.Sequential(
        *[Block(16, nnx.relu, 2.0, jnp.full(16, b), rngs) for b in (0.1, -50.0, 0.1)]
    )
    found = kinds_of(shut)
    assert "layers/1" in found["dead"].where
    assert "before it" in found["dead"].other_cause
    # What to do about a gradient that ends is not what helps a small one.
    assert "zero at every input" in found["vanishing"].remedy


def test_overfitting_of_a_model():
    metrics = {"train_accuracy": 0.99, "validation_accuracy": 0.8}
    records = flow_records(flow_of({"a": 1.0, "b": 1.0}), step=90, metrics=metrics)
    verdict = one(verdicts(records), kind="overfitting")
    assert verdict.study == "model" and verdict.where == "model, after 90 updates"
    assert "dropout" in verdict.remedy and verdict.reason and verdict.other_cause


def test_a_model_of_flax_alone():
    class Deep(nnx.Module):
        def __init__(self, rngs):
            widths = [8] * 11
            self.layers = nnx.List([nnx.Linear(8, n, rngs=rngs) for n in widths])

        def __call__(self, x):
            for number, layer in enumerate(self.layers):
                # A scale that somebody left in.
                x = jnp.tanh(layer(x)) * (1e-5 if number == 6 else 1.0)
            return x

    square = lambda model, x: jnp.mean(model(x) ** 2)
    measured = nnx.jit(lambda model, x: measure_module(square, model, x))
    records = []
    for seed in range(3):
        x = jax.random.normal(jax.random.key(seed), (16, 8))
        records += flow_records(measured(Deep(nnx.Rngs(seed)), x), name="d", seed=seed)
    # The scale stands between the outputs of the linear layers 6 and 7.
    verdict = one(verdicts(records), kind="vanishing")
    assert verdict.where == "d, before training, layers/7"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_value_stops_the_verdicts_on_a_model(value):
    norms = {f"layer{n}": 0.5**n for n in range(6)} | {"rnn/h": np.ones(5)}
    metrics = {"gradient_correlation": 0.2, "dead_share": {"layer2": 0.5}}
    for every in (1, 2, 3):
        records = []
        for seed in range(2):
            for name in ("one", "other"):
                found = flow_records(
                    flow_of(norms), name=name, seed=seed, metrics=metrics
                )
                records += [
                    r._replace(value=value) if i % every == 0 else r
                    for i, r in enumerate(found)
                ]
        assert verdicts(records)
        verdicts(records[::-1][:7])
