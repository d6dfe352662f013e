"""Records of runs whose verdicts are known."""

import numpy as np

from jaxnets.runs.records import Record


def norms(study, family, size, rate, *, seeds=3, step=0, noise=0.0, places=None):
    """Norms that change by `rate` powers of ten per position towards the input."""
    generator = np.random.default_rng(7)
    last = int(size) if places is None else places
    return [
        Record(
            study,
            f"{family}-{size:g}",
            family,
            float(size),
            seed,
            step,
            "log10_gradient_norm",
            f"block{p}",
            p,
            rate * (last - p) * (1 + noise * generator.normal()) + 0.1 * seed,
        )
        for seed in range(seeds)
        for p in range(last + 1)
    ]


def numbers(study, family, size, metric, values, *, step=0, position=None):
    """One number for each seed."""
    return [
        Record(
            study,
            f"{family}-{size:g}",
            family,
            size,
            seed,
            step,
            metric,
            "",
            position,
            v,
        )
        for seed, v in enumerate(values)
    ]


def one(found, **fields):
    matching = [
        v for v in found if all(getattr(v, name) == x for name, x in fields.items())
    ]
    assert len(matching) == 1, found
    return matching[0]


def ends(verdict):
    """The interval of a verdict that has one."""
    assert verdict.low is not None and verdict.high is not None, verdict
    return verdict.low, verdict.high


def saturation(family, gain, share, rate):
    records = norms("saturation", family, gain, rate, places=8)
    for layer in range(9):
        records += numbers(
            "saturation", family, gain, "saturated_share", [share] * 3, position=layer
        )
    return records


def overfitting(family, rate, gap, losses):
    records = []
    for step, loss in enumerate(losses):
        at = {"step": 100 * (step + 1)}
        size = ("overfitting", family, rate)
        records += numbers(*size, "train_accuracy", [0.99, 0.98, 0.99], **at)
        validation = [0.99 - gap, 0.98 - gap, 0.985 - gap]
        records += numbers(*size, "validation_accuracy", validation, **at)
        records += numbers(*size, "validation_loss", [loss] * 3, **at)
        records += numbers(*size, "train_loss", [0.1, 0.11, 0.09], **at)
    return records


def complete_run():
    records = norms("depth", "plain", 20, -0.2) + norms("depth", "residual", 20, 0.01)
    records += norms("depth", "plain + BatchNorm", 20, 0.01)
    records += norms("time", "RNN", 30, -0.2) + norms("time", "LSTM", 30, -0.01)
    records += numbers("time", "RNN", 30.0, "solved", [0.0, 1.0, 0.0], step=10)
    records += saturation("tanh", 1.0, 0.1, 0.0) + saturation("tanh", 4.0, 0.7, -0.5)
    return records + overfitting("no dropout", 0.0, 0.1, [0.4, 0.5])
