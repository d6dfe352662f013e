"""From a loss, models and batches to records and a diagnosis."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnets.gradflow import diagnose, flow_records, measure_module, verdicts
from jaxnets.gradflow.evidence.collector import Collector
from tests.gradflow.evidence.collecting import collect


def make(rngs):
    layers = [nnx.Linear(4, 4, rngs=rngs) for _ in range(3)]
    return nnx.Sequential(*layers)


def loss(model, x, scale=1.0):
    return jnp.mean((model(x) - 1.0) ** 2) * scale


def vector_loss(model, x):
    return model(x)


X = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)


def select(records, **fields):
    return [
        r for r in records if all(getattr(r, name) == v for name, v in fields.items())
    ]


def values(records, **fields):
    return [record.value for record in select(records, **fields)]


def test_the_records_are_those_of_each_seed_and_of_each_array():
    records, flows = collect(loss, make, [X], seeds=2)
    measured = nnx.jit(lambda model, x: measure_module(loss, model, x))
    for seed in range(2):
        flow = measured(make(nnx.Rngs(seed)), X)
        wanted = flow_records(flow, seed=seed)
        found = {r[:9]: r.value for r in records}
        for record in wanted:
            assert found[record[:9]] == pytest.approx(record.value, 1e-5, 1e-6)
    kernel = flows[1].grads["layers"][2]["kernel"].get_value()
    norm = math.log10(np.linalg.norm(kernel))
    of_kernel = {"place": "layers/2/kernel", "seed": 1}
    metric = "log10_array_gradient_norm"
    assert values(records, metric=metric, **of_kernel) == [
        pytest.approx(norm, abs=1e-5)
    ]
    metric = "log10_array_weight_norm"
    assert values(records, metric=metric, place="layers/2/bias", seed=1) == [-math.inf]
    assert not select(records, metric="log10_array_update_norm")


def test_training_has_a_curve_and_a_last_measurement_and_leaves_the_model_alone():
    model = make(nnx.Rngs(0))
    before = jax.tree.map(jnp.copy, nnx.state(model))
    records, _ = collect(loss, model, [(X, 2.0)], optimizer=optax.sgd(0.1), steps=3)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, before, nnx.state(model)))
    curve = {r.step: r.value for r in select(records, metric="loss")}
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    wanted = []
    for _ in range(3):
        value, grads = nnx.value_and_grad(loss)(model, X, 2.0)
        optimizer.update(model, grads)
        wanted.append(value)
    wanted.append(loss(model, X, 2.0))
    np.testing.assert_allclose([curve[n] for n in range(4)], wanted, rtol=1e-5)
    at = {"place": "layers/0/kernel", "step": 0}
    [move] = values(records, metric="log10_array_update_norm", **at)
    [slope] = values(records, metric="log10_array_gradient_norm", **at)
    assert move == pytest.approx(slope - 1, abs=1e-5)
    assert {r.step for r in select(records, metric="log10_gradient_norm")} == {0, 3}


def test_batches_are_averaged_for_each_seed_and_are_the_seeds_of_one_model():
    records, flows = collect(loss, make, [X, 2 * X], seeds=1)
    assert len(flows) == 2
    assert values(records, metric="loss") == [
        pytest.approx(np.mean([flow.value for flow in flows]))
    ]
    norms = [float(flow.taps["layers/0"].norm) for flow in flows]
    assert values(records, metric="log10_gradient_norm", place="layers/0") == [
        pytest.approx(math.log10(np.mean(norms)), abs=1e-5)
    ]
    records, flows = collect(loss, make(nnx.Rngs(0)), [X, 2 * X])
    assert values(records, metric="loss") == pytest.approx(
        [float(flow.value) for flow in flows]
    )
    assert {record.seed for record in records} == {0, 1}


def test_a_loss_may_return_a_pair_and_transforms_may_need_the_loss():
    plateau = optax.contrib.reduce_on_plateau(patience=1)
    # Optax promotes dtypes on purpose here.
    with jax.numpy_dtype_promotion("standard"):
        records, _ = collect(
            lambda model, x: (loss(model, x), {"words": "any"}),
            lambda *, rngs: make(rngs),
            [X],
            seeds=1,
            optimizer=optax.chain(optax.sgd(0.1), plateau),
            steps=1,
        )
    first, last = values(records, metric="loss")
    assert last < first


@pytest.mark.parametrize("rate", [0.1, 0.0])
def test_a_part_behind_zeros_wakes_by_the_first_updates_that_are_not_zero(rate):
    model = make(nnx.Rngs(0))
    model.layers[2].kernel[...] *= 0.0
    optimizer = optax.MultiSteps(optax.sgd(rate), 5)
    # Optax promotes dtypes on purpose here.
    with jax.numpy_dtype_promotion("standard"):
        records, _ = collect(loss, model, [X], optimizer=optimizer)
    [woken] = values(
        records, metric="log10_woken_gradient_norm", place="layers/0/kernel"
    )
    assert math.isfinite(woken)


class Scaled(nnx.Module):
    """A parameter of whole numbers, which has no gradient."""

    def __init__(self, rngs):
        self.layer = nnx.Linear(4, 4, rngs=rngs)
        self.scale = nnx.Param(jnp.arange(4))

    def __call__(self, x):
        return self.layer(x) * self.scale[...][None].astype(jnp.float32)


def test_parameters_of_whole_numbers_stay_as_they_are():
    # Optax multiplies whole numbers by a learning rate.
    with jax.numpy_dtype_promotion("standard"):
        options = {"seeds": 1, "optimizer": optax.sgd(0.1), "steps": 1}
        records, _ = collect(loss, Scaled, [X], **options)
    first, last = values(records, metric="loss")
    assert last < first
    assert values(records, metric="dtype_bits", place="scale|int32") == [32.0]
    metric = "log10_array_gradient_norm"
    assert not select(records, metric=metric, place="scale")


def test_a_diagnosis_is_written_as_a_run(tmp_path):
    diagnosis = diagnose(loss, make, X, seeds=1)
    assert diagnosis.ok == json.loads(diagnosis.to_json())["ok"]
    bad = diagnosis.verdicts[0]._replace(severity="fault", cause="ReLU", remedy="Halve")
    for shown in (
        diagnosis._replace(verdicts=[bad]).__repr__(),
        diagnosis._replace(verdicts=[bad])._repr_html_(),
    ):
        assert bad.sentence in shown
        assert "Cause: ReLU" in shown and "What to do: Halve" in shown
    page = diagnosis.write(tmp_path / "run")
    assert page.is_file()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config == {"studies": ["model"], "seeds": [0]}
    with pytest.raises(FileExistsError):
        diagnosis.write(tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((3, make, X), {}, TypeError, "`loss` is 3"),
        ((loss, 3, X), {}, TypeError, "`model_or_make` is 3"),
        ((loss, lambda rngs: 3, X), {}, TypeError, r"returned int; wanted an nnx.Mod"),
        ((make, loss, X), {}, TypeError, r"`loss` has the parameters `\(rngs\)`, but"),
        ((loss, make), {}, TypeError, "there is no batch. Pass at least one batch"),
        ((loss, make, (X, 1, 2)), {}, TypeError, "and the 3 elements of a batch"),
        ((loss, lambda: 3, X), {}, TypeError, r"`model_or_make` has .* `def make\(r"),
        ((vector_loss, make, X), {}, TypeError, r"Reduce it with .* or `jnp.sum`\."),
        ((loss, make, X), {"seeds": 0}, ValueError, "`seeds` is 0"),
        ((loss, make, X), {"steps": 2}, ValueError, "`optimizer` is None; wanted"),
        (
            (loss, make, X),
            {"optimizer": 0.1},
            TypeError,
            "`optimizer` is of type float",
        ),
    ],
)
def test_wrong_arguments_are_named(
    arguments, options, error, text, unchecked_annotations
):
    with pytest.raises(error, match=text):
        diagnose(*arguments, **options)


def test_the_origin_of_nan_is_looked_for_in_the_seed_and_batch_that_have_it():
    class Scale(nnx.Module):
        def __init__(self, rngs):
            self.scale = nnx.Param(jnp.array(next(starts)))

        def __call__(self, x):
            return jnp.log(self.scale[...] * x)

    def origins(*batches):
        records, _ = collect(
            lambda model, x: jnp.sum(model(x)), Scale, batches, seeds=2
        )
        return [r for r in records if r.metric == "nonfinite_origin"]

    starts = iter([1.0, 0.0, 1.0, 1.0])
    ones = jnp.ones((2, 2))
    (second_seed,) = origins(ones)
    assert second_seed.seed == 1 and "|log|" in second_seed.place
    (second_batch,) = origins(ones, 0 * ones)
    assert second_batch.seed == 0 and "|log|" in second_batch.place


def test_activations_are_recorded_in_the_order_of_the_forward_pass():
    class Named(nnx.Module):
        def __init__(self, rngs):
            self.z, self.a = (nnx.Linear(4, 4, rngs=rngs) for _ in range(2))

        def __call__(self, x):
            return nnx.relu(self.a(nnx.relu(self.z(x))))

    records, _ = collect(loss, Named, [X], seeds=1)
    places = [r.place for r in records if r.metric == "dead_share"]
    assert places == ["z/relu", "a/relu"]


class ByClass(nnx.Module):
    """Asks for the class of a layer, which measuring makes a subclass."""

    def __init__(self, rngs):
        self.layer = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x):
        return self.layer(x) if type(self.layer) is nnx.Linear else x


@pytest.mark.parametrize(("network", "count"), [(ByClass, 1), (make, 0)])
def test_a_loss_that_measuring_changes_is_named(network, count):
    found = [
        verdict
        for verdict in diagnose(loss, network, X, seeds=1).verdicts
        if "Measuring changes what the loss computes" in verdict.sentence
    ]
    assert len(found) == count
    assert all(v.severity == "warning" and "isinstance" in v.remedy for v in found)


@pytest.mark.parametrize("shift", [3.0, -6.0])
def test_the_sharpness_is_the_largest_eigenvalue_of_the_hessian(shift):
    half = np.random.default_rng(0).normal(size=(5, 5))
    hessian = half + half.T + shift * np.eye(5)

    def loss(model, hessian):
        w = model(jnp.eye(5))[:, 0]
        return 0.5 * w @ hessian @ w

    model = nnx.Linear(5, 1, use_bias=False, rngs=nnx.Rngs(0))
    batch = jnp.asarray(hessian, jnp.float32)
    records, _ = collect(loss, model, [batch], optimizer=optax.sgd(0.1))
    found = [record.value for record in records if record.metric == "sharpness"]
    np.testing.assert_allclose(found, np.linalg.eigvalsh(hessian)[-1:], rtol=0.03)


def test_a_negative_loss_is_followed_along_its_gradient():
    model = nnx.Linear(4, 4, use_bias=False, rngs=nnx.Rngs(0))
    negative = lambda model, x: -jnp.mean(model(x) ** 2)
    records, _ = collect(negative, model, [X])
    found = values(records, metric="loss_along_gradient")
    x, w = (np.asarray(a, np.float64) for a in (X, model.kernel[...]))
    slope = -2 * x.T @ (x @ w) / 12
    step = slope * np.linalg.norm(w) / np.linalg.norm(slope)
    wanted = [-np.mean((x @ (w - n * step)) ** 2) for n in (0, 1, 4, 16, 64)]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    [alarm] = [v for v in diagnose(negative, model, X).verdicts if v.number < 0]
    assert (alarm.kind, alarm.severity) == ("wrong-loss", "warning")
    records, _ = collect(loss, model, [X])
    assert not select(records, metric="loss_along_gradient")


class TwoTowers(nnx.Module):
    """The second tower has a start of its own, beside a share of the first one."""

    def __init__(self, share, rngs):
        layer = lambda: nnx.Linear(8, 8, rngs=rngs)
        self.encoder = nnx.List([layer() for _ in range(3)])
        self.decoder = nnx.List([layer() for _ in range(3)])
        self.start = nnx.Variable(jnp.linspace(-2.0, 2.0, 8)[None])
        self.share = nnx.Variable(jnp.float32(share))

    def __call__(self, x):
        for layer in self.encoder:
            x = nnx.tanh(layer(x))
        x = nnx.tanh(self.start[...] + self.share[...] * x)
        for layer in self.decoder:
            x = nnx.tanh(layer(x))
        return x


def test_adam_evens_out_two_towers_unless_the_gradient_is_at_its_epsilon():
    batch = jax.random.normal(jax.random.key(0), (16, 8))
    objective = lambda model, x: jnp.mean((model(x) - x) ** 2)
    towers = lambda share: TwoTowers(share, nnx.Rngs(0))
    adam = Collector(objective, towers(1.0), [(batch,)], optimizer=optax.adam(1e-3))

    def severity(collector, share):
        # Optax mixes dtypes.
        with jax.numpy_dtype_promotion("standard"):
            found = verdicts(collector.before(towers(share)))
        kinds = [v.severity for v in found if v.kind == "vanishing"]
        return kinds[0] if kinds else None

    shares = {0.1: None, 1e-4: "warning", 1e-10: "fault"}
    assert {share: severity(adam, share) for share in shares} == shares
    # Plain gradient descent moves the first tower as little as its gradient says.
    assert severity(adam.trained_by(optax.sgd(0.1)), 0.1) == "fault"
