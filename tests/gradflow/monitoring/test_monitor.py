"""A monitored loop trains like the loop without it, and reports what happens in it."""

import functools
import sys
import threading
import time
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnets.gradflow import Monitor, log_spaced, measure_module, verdicts
from jaxnets.gradflow.monitoring.monitor import MOST_WAITING
from jaxnets.runs.records import read_records
from tests.training.networks import assert_close


class Net(nnx.Module):
    """Flax's own layers, with batch statistics, random keys and an infinite mask."""

    def __init__(self, rngs: nnx.Rngs):
        self.body = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x):
        return self.head(self.dropout(nnx.relu(self.norm(self.body(x)))))


def loss(model, x, y):
    return jnp.mean((model(x) - y) ** 2), {"mean": jnp.mean(x)}


X = np.random.default_rng(0).normal(size=(30, 4, 3)).astype(np.float32)
Y = np.ones((30, 4, 2), np.float32)


def start():
    model = Net(nnx.Rngs(0))
    return model, nnx.Optimizer(model, optax.sgd(0.01, momentum=0.9), wrt=nnx.Param)


def train(value_and_grad, xs=X, jit=nnx.jit):
    """Return the state and the losses of a loop whose step donates its arguments."""
    model, optimizer = start()

    @functools.partial(jit, donate_argnums=(0, 1))
    def step(model, optimizer, x, y):
        (value, _), grads = value_and_grad(loss, has_aux=True)(model, x, y)
        optimizer.update(model, grads)
        return value

    values = [step(model, optimizer, x, y) for x, y in zip(xs, Y, strict=True)]
    return nnx.state((model, optimizer)), jnp.stack(values)


@pytest.fixture(scope="module")
def plain():
    return train(nnx.value_and_grad)


def steps_of(monitor):
    return [record.step for record in monitor.records if record.metric == "loss"]


# All steps are measured, or those that are reported are evaluated twice; the numbers
# are a result of the step, or leave it by a callback.
@pytest.mark.parametrize(
    ("every", "steps", "own"),
    [
        (12, [0, 12, 24], True),
        (log_spaced(1), [0, 1, 10], True),
        (log_spaced(1), [0, 1, 10], False),
    ],
)
def test_a_monitored_loop_trains_alike_and_reports_its_steps(plain, every, steps, own):
    monitor = Monitor(every=every)
    jit = monitor.jit if own else nnx.jit
    assert_close(train(monitor.value_and_grad, jit=jit), plain)
    assert steps_of(monitor) == steps
    assert monitor.alarms == []
    first = [record for record in monitor.records if record.step == 0]
    flow = measure_module(loss, Net(nnx.Rngs(0)), X[0], Y[0], has_aux=True)
    norms = {r.place: r.value for r in first if r.metric == "log10_gradient_norm"}
    assert list(norms) == list(flow.taps)
    expected = [np.log10(stats.norm) for stats in flow.taps.values()]
    np.testing.assert_allclose(list(norms.values()), expected, rtol=1e-4, atol=1e-5)
    arrays = {r.place for r in first if r.metric == "log10_array_gradient_norm"}
    assert {"body/kernel", "head/bias"} < arrays
    assert verdicts(monitor.records)[0].where == "model, before training"


def test_a_number_that_is_not_finite_is_reported_in_its_step_and_layer():
    # The squares in BatchNorm overflow; the output of the first layer does not.
    xs = X.copy()
    xs[7] = 1e30
    monitor = Monitor(every=64, name="mine")
    with pytest.warns(RuntimeWarning, match="mine, step 7, norm: The loss is not fin"):
        train(monitor.value_and_grad, xs, monitor.jit)
        monitor.wait()
    [alarm] = monitor.alarms
    assert (alarm.kind, alarm.severity, alarm.where) == (
        "non-finite",
        "fault",
        "mine, step 7, norm",
    )
    # Only a step in which an output is not finite has records of it.
    shares = [r for r in monitor.records if r.metric == "nonfinite_share"]
    assert {record.step for record in shares} == {7}
    assert {record.place for record in shares if record.value} >= {"norm"}
    # The steps after it are not finite either, and are not reported.
    assert steps_of(monitor) == [0, 7]


def test_it_works_in_a_scan_and_without_jit():
    monitor = Monitor(every=2, start=10)
    graphdef, state = nnx.split(start())

    def body(state, batch):
        model, optimizer = nnx.merge(graphdef, state, copy=True)
        (value, _), grads = monitor.value_and_grad(loss, has_aux=True)(model, *batch)
        optimizer.update(model, grads)
        return nnx.state((model, optimizer)), value

    jax.lax.scan(body, state, (X[:5], Y[:5]))
    assert steps_of(monitor) == [10, 12, 14]
    # In a step of `monitor.jit` the numbers of a scan leave it by a callback too.
    monitor.jit(lambda state: jax.lax.scan(body, state, (X[:3], Y[:3])), jit=jax.jit)(
        state
    )
    assert steps_of(monitor) == [10, 12, 14, 16]
    scalar = lambda model, x: jnp.mean(model(x))
    model, bias = nnx.Linear(3, 1, rngs=nnx.Rngs(0)), nnx.PathContains("bias")
    found = Monitor().value_and_grad(scalar, wrt=bias)(model, X[0])
    argnums = nnx.DiffState(0, bias)
    assert_close(found, nnx.value_and_grad(scalar, argnums=argnums)(model, X[0]))


def test_a_pure_step_of_jax_with_two_losses_has_no_effect():
    monitor = Monitor()
    graphdef, state = nnx.split(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))

    def step(state, x, *, scale):
        model = nnx.merge(graphdef, state)
        loss = lambda model, x, scale: scale * jnp.mean(model(x) ** 2)
        differentiate = monitor.value_and_grad(loss)
        return differentiate(model, x, scale)[0], differentiate(model, x, 2 * scale)[0]

    compiled = []

    def jit(function, **options):
        compiled.append(jax.jit(function, **options))
        return compiled[0]

    step = monitor.jit(step, jit=jit, static_argnames="scale")
    values = [step(state, X[0], scale=scale) for scale in (1.0, 3.0)]
    assert compiled[0].trace(state, X[0], scale=1.0).jaxpr.effects == set()
    lowered = step.lower(state, X[0], scale=1.0)
    assert "stablehlo" in lowered.as_text()
    assert [r.value for r in monitor.records if r.metric == "loss"] == [
        *values[0],
        *values[1],
    ]
    assert steps_of(monitor) == [0, 1, 2, 3]


@pytest.mark.skipif(jax.device_count() < 2, reason="needs two devices")
def test_a_sharded_batch_is_reported_once():
    axes = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((2,), ("data",), axis_types=axes)
    put = lambda tree, *names: jax.device_put(
        tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*names))
    )
    monitor = Monitor(every=64)
    graphdef, state = nnx.split(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))

    @jax.jit
    def step(state, x, y):
        model = nnx.merge(graphdef, state)
        differentiate = monitor.value_and_grad(loss, has_aux=True, step=jnp.int32(64))
        return differentiate(model, x, y)[0][0]

    step(put(state), put(X[0], "data"), put(Y[0], "data"))
    assert steps_of(monitor) == [64]


class Writer:
    """A writer of TensorBoard's files that keeps what it gets."""

    def __init__(self, folder="", purge_step=None):
        self.folder, self.curves = folder, {}
        Writer.last = self

    def add_scalar(self, tag, value, step):
        self.curves.setdefault(tag, {})[step] = value


def test_reports_go_to_records_tensorboard_and_functions(tmp_path, monkeypatch, capsys):
    package = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "tensorboardX", package)
    path, folder, own = tmp_path / "run" / "records.csv", tmp_path / "board", Writer()
    reports = []
    monitor = Monitor(every=2, to=[str(path), folder, own, print, reports.append])
    cell = nnx.Sequential(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), jnp.tanh)
    simple = lambda model, x: jnp.mean(model(x) ** 2)
    step = monitor.jit(lambda model, x: monitor.value_and_grad(simple)(model, x)[0])
    for x in X[:3]:
        step(cell, x)
    monitor.wait()
    assert read_records(path) == monitor.records
    assert [report.step for report in reports] == [0, 2]
    assert Writer.last.folder == str(folder)
    assert Writer.last.curves == own.curves
    assert list(own.curves["loss"]) == [0, 2]
    assert set(own.curves) > {"log10_gradient_norm/layers/0", "loss"}
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("step 2, loss 0.")
    assert " at the output -> " in line

    again = Monitor(to=path, start=3)
    again.value_and_grad(simple)(cell, X[3])
    again.wait()
    assert len(read_records(path)) == len(monitor.records) + len(again.records)


def test_without_a_package_for_tensorboard_it_says_what_to_install(monkeypatch):
    for package in ("tensorboardX", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'jaxnets\[tensorboard\]'"):
        Monitor(to="runs/first")


ANY: Any = Monitor


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda: ANY(every=2.5),
            TypeError,
            "`every` is of type float; wanted a number of s",
        ),
        (lambda: Monitor(every=0), ValueError, "`every` is 0"),
        (
            lambda: Monitor(to=[3]),
            TypeError,
            r"`to\[0\]` is of type int; wanted a path such",
        ),
        (lambda: ANY(name=3), TypeError, "`name` is 3; wanted a string"),
        (lambda: Monitor(start=-1), ValueError, "`start` is -1"),
        (lambda: ANY().value_and_grad(3), TypeError, "`loss` is 3; wanted a func"),
        (lambda: ANY().jit(3), TypeError, "`step` is 3; wanted a training step"),
        (
            lambda: Monitor().value_and_grad(loss)(3),
            TypeError,
            "`model` is of type int; wanted an nnx.Module",
        ),
    ],
)
def test_messages(make, kind, message, unchecked_annotations):
    with pytest.raises(kind, match=message):
        make()


def test_arguments_may_be_passed_by_name_as_to_flax():
    model, _ = start()
    weighted = lambda model, x, y, *, weight: weight * loss(model, x, y)[0]
    monitor = Monitor()
    value, _ = monitor.value_and_grad(weighted)(model, X[0], y=Y[0], weight=2.0)
    model, _ = start()
    assert value == pytest.approx(2.0 * loss(model, X[0], Y[0])[0])
    assert [r.value for r in monitor.records if r.metric == "loss"] == [value]


def test_the_error_of_a_function_in_to_is_raised():
    def full(report):
        raise OSError("the disk is full")

    monitor = Monitor(to=full)
    monitor.value_and_grad(lambda model: jnp.sum(model.bias[...]))(start()[0].body)
    with pytest.raises(OSError, match="the disk is full"):
        monitor.wait()


def test_the_error_of_a_report_is_raised_before_a_step_and_not_after_it():
    def full(report):
        raise OSError("the disk is full")

    monitor = Monitor(to=full)
    done = []

    @monitor.jit
    def step(bias):
        value, _ = monitor.value_and_grad(lambda model: jnp.sum(model.bias[...]))(bias)
        jax.debug.callback(lambda: done.append(1))
        return value

    model = start()[0].body
    step(model)
    monitor._waiting[0].exception()
    with pytest.raises(OSError, match="the disk is full"):
        step(model)
    jax.effects_barrier()
    assert len(done) == 1
    step(model)
    with pytest.raises(OSError, match="the disk is full"):
        monitor.wait()


def test_a_loop_waits_for_a_report_that_is_slow():
    may_report, done = threading.Event(), []
    monitor = Monitor(to=lambda report: may_report.wait(60), only="body")
    step = monitor.jit(monitor.value_and_grad(loss, has_aux=True))
    model = start()[0]

    def loop():
        for _ in range(MOST_WAITING + 40):
            step(model, X[0], Y[0])
            done.append(1)

    thread = threading.Thread(target=loop)
    thread.start()
    deadline = time.monotonic() + 60
    while len(done) < MOST_WAITING and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    ahead = len(done)
    may_report.set()
    thread.join()
    assert ahead == MOST_WAITING
    assert steps_of(monitor) == list(range(MOST_WAITING + 40))
