"""Records of measured networks: their places, and which taps are judged together."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets.gradflow import flow_records, measure, measure_module, tap, verdicts
from jaxnets.gradflow.measure import Flow
from jaxnets.tap import TapStats
from tests.gradflow.run_records import one


def flow_of(norms):
    """A measurement whose taps have the given norms."""
    taps = {
        name: TapStats(*map(jnp.asarray, (np.float32(norm), 0.0, 0.0, 0.0)))
        for name, norm in norms.items()
    }
    return Flow(jnp.float32(0.5), None, {"w": jnp.ones((3, 4)), "b": jnp.ones(4)}, taps)


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
    assert {v.kind for v in verdicts(flow_records(flow_of(lossy)))} == {
        "healthy",
        "vanishing",
    }
    # Last layers of branches that start at zero pass nothing back at first.
    zero = norms | {f"blocks/{n}/conv": 0.0 for n in range(5)}
    assert [v.kind for v in verdicts(flow_records(flow_of(zero)))] == ["healthy"]


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
