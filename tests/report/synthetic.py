"""A run folder like that of a real run, with made-up but plausible numbers."""

import itertools
import json
from pathlib import Path

import numpy as np

from jaxnets.report.studies import draw_study
from jaxnets.runs.folder import Run
from jaxnets.runs.records import Record, write_records
from tests.report.summary import SUMMARY


DEPTHS = (8, 20, 32)
LENGTHS = (50, 100)
GAINS = (0.5, 1.0, 5 / 3, 4.0)
STEPS = (0, 20, 40, 80, 160, 320)

# Log10 of the factor by which each layer changes the gradient, before training.
DEPTH_SLOPES = {
    "plain": -0.12,
    "residual": 0.02,
    "plain + BatchNorm": 0.05,
    "residual + BatchNorm": 0.008,
}
TIME_SLOPES = {"RNN": -0.14, "GRU": -0.05, "LSTM": -0.02}
SATURATION = {"sigmoid": 0.10, "tanh": 0.06, "ReLU": 0.5}


def arm(study, family, size, seed, rows):
    """Yield the records of one seed from rows of `(step, metric, position, value)`."""
    name = f"{family}-{size:g}".replace(" ", "-").lower()
    for step, metric, position, value in rows:
        place = "" if position is None else f"layer{position}"
        yield Record(
            study, name, family, size, seed, step, metric, place, position, value
        )


def curve(metric, start, end, rng):
    """Return the rows of a learning curve of `metric` from `start` to `end`."""
    return [
        (s, metric, None, end + (start - end) * np.exp(-s / 90) + rng.normal(0, 0.01))
        for s in STEPS
    ]


def depth_records(seeds, rng):
    for (family, slope), depth, seed in itertools.product(
        DEPTH_SLOPES.items(), DEPTHS, range(seeds)
    ):
        rows = []
        for layer in range(depth):
            below = depth - 1 - layer
            noise = rng.normal(0, 0.08)
            rows.append((0, "log10_gradient_norm", layer, slope * below - 1 + noise))
            rows.append((0, "response_std", layer, 10 ** (slope * layer / 2) + 0.01))
            if "BatchNorm" not in family:
                predicted = slope * below - 1.1
                rows.append((0, "predicted_log10_gradient_norm", layer, predicted))
        for step, layer in itertools.product(STEPS[1:], range(depth)):
            below = depth - layer
            value = slope * below * np.exp(-step / 300) - 1 + rng.normal(0, 0.08)
            rows.append((step, "log10_gradient_norm", layer, value))
        residual = "residual" in family
        correlation = depth**-0.5 if residual else 2.0 ** (-depth / 4)
        rows.append((0, "gradient_correlation", None, correlation))
        rows.append((0, "path_length", None, depth / (5 if residual else 1)))
        for block in range(7):
            lesion = (0.05 if residual else 2.0) * (1 + block % 3)
            rows.append((STEPS[-1], "lesion", block, lesion))
            if residual:
                rows.append((STEPS[-1], "block_contribution", block, depth**-0.5))
        final = 0.97 if residual or slope > 0 else 0.95 - 0.02 * depth
        rows += curve("validation_accuracy", 0.1, final - 0.01, rng)
        rows += curve("validation_loss", 2.3, 3 * (1 - final) + 0.05, rng)
        rows.append((STEPS[-1], "test_accuracy", None, final + rng.normal(0, 0.005)))
        yield from arm("depth", family, float(depth), seed, rows)


def time_records(seeds, rng):
    for (family, slope), length, seed in itertools.product(
        TIME_SLOPES.items(), LENGTHS, range(seeds)
    ):
        rows = []
        solved = family != "RNN"
        for t in range(length):
            back = length - 1 - t
            noise = rng.normal(0, 0.1)
            rows.append((0, "log10_gradient_norm", t, slope * back - 1 + noise))
            for step in STEPS[1:]:
                share = (0.2 if solved else 0.9) ** (step / STEPS[-1])
                after = slope * back * share - 1 + noise
                rows.append((step, "log10_gradient_norm", t, after))
            if family == "RNN":
                rows.append((0, "predicted_log10_gradient_norm", t, -0.15 * back - 1))
        rows += curve("validation_loss", 0.3, 0.01 if solved else 0.167, rng)
        if solved:
            rows.append((0, "gate_timescale", None, 20 + rng.normal()))
        rows.append((0, "lyapunov_exponent", None, slope * 2.3 + rng.normal(0, 0.01)))
        rows.append((STEPS[-1], "solved", None, float(solved)))
        yield from arm("time", family, float(length), seed, rows)


def saturation_records(seeds, rng):
    for (family, share), gain, seed in itertools.product(
        SATURATION.items(), GAINS, range(seeds)
    ):
        rows = []
        for layer in range(6):
            noise = rng.normal(0, 0.01)
            saturated = float(np.clip(share * gain + noise, 0, 1))
            rows.append((0, "saturated_share", layer, saturated))
            rate = np.log10(gain) - 2 * share * (family != "ReLU") - 0.1
            value = rate * (5 - layer) - 1 + noise
            rows.append((0, "log10_gradient_norm", layer, value))
        rows.append((0, "log_chi_1", None, np.log(gain) + rng.normal(0, 0.01)))
        yield from arm("saturation", family, gain, seed, rows)
        rows = [
            (0, "weight_variance", None, gain**2),
            (0, "bias_variance", None, 0.0),
            *((0, "critical_weight_variance", n, 1.0 + n) for n in range(3)),
            *((0, "critical_bias_variance", n, 0.1 * n) for n in range(3)),
        ]
        yield from arm("saturation", family, gain, -1, rows)


def overfitting_records(seeds, rng):
    for (family, rate), seed in itertools.product(
        (("no dropout", 0.0), ("dropout 0.5", 0.5)), range(seeds)
    ):
        rows = []
        for step in STEPS:
            train = 2.3 * np.exp(-step / (60 + 60 * rate)) + rng.normal(0, 0.01) ** 2
            validation = train + (1 - rate) * 0.6 * step / STEPS[-1]
            rows.append((step, "train_loss", None, train))
            rows.append(
                (step, "validation_loss", None, validation + rng.normal(0, 0.02))
            )
            rows.append((step, "train_accuracy", None, 1 - 0.9 * np.exp(-step / 60)))
            accuracy = 0.93 + 0.03 * rate - 0.83 * np.exp(-step / 60)
            rows.append((step, "validation_accuracy", None, accuracy))
        rows.append((STEPS[-1], "test_accuracy", None, 0.92 + 0.03 * rate))
        yield from arm("overfitting", family, rate, seed, rows)


MAKERS = {
    "depth": depth_records,
    "time": time_records,
    "saturation": saturation_records,
    "overfitting": overfitting_records,
}


def records_of(studies=tuple(MAKERS), seeds=3):
    rng = np.random.default_rng(0)
    return [record for name in studies for record in MAKERS[name](seeds, rng)]


def section_of(study, records, claims=()):
    """Return the section of a study, drawn from records alone."""
    found = [record for record in records if record.study == study]
    return draw_study(study, Run(found, {"claims": list(claims)}, {}, [], []))


CONFIG = {
    "scale": "laptop",
    "seeds": 3,
    "dataset": "digits",
    "studies": list(MAKERS),
    "depths": list(DEPTHS),
    "learning_rate": 0.01,
}


def write_run(folder: Path, records=None, summary=SUMMARY, config=CONFIG) -> Path:
    """Write a run into `folder`; without `summary.json` or `config.json` if None."""
    write_records(folder / "records.csv", records_of() if records is None else records)
    for name, content in (("summary.json", summary), ("config.json", config)):
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder
