"""Verdicts before training: the loss at the start, dtypes, and the first update."""

import math

import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from jaxnets.gradflow import diagnose, verdicts
from jaxnets.runs.records import Record


def record(metric, value, place="", seed=0):
    return Record("model", "net", "net", 1.0, seed, 0, metric, place, None, value)


@pytest.mark.parametrize(
    ("factor", "spread", "severity", "words"),
    [
        (1.1, 0.0, "well", "near 2.3, which is ln(10)"),
        (4.0, 0.0, "warning", "far above 2.3"),
        (4.0, 2.0, "well", "with an interval that contains 2.3"),
        (0.1, 0.0, "note", "far below 2.3"),
    ],
)
def test_the_loss_at_the_start_beside_that_of_guessing(factor, spread, severity, words):
    losses = [
        record("loss", (factor + sign * spread) * math.log(10), seed=seed)
        for seed, sign in enumerate((-1, 1))
    ]
    [verdict] = verdicts([*losses, record("classes", 10.0)])
    assert (verdict.severity, verdict.number) == (
        severity,
        pytest.approx(factor * math.log(10)),
    )
    assert words in verdict.sentence
    assert not verdicts(losses)


def test_dtypes_that_mix_or_have_a_narrow_range_are_named():
    mixed = [
        record("dtype_bits", 64.0, "a|float64"),
        record("dtype_bits", 32.0, "b|float32"),
    ]
    [verdict] = verdicts(mixed)
    assert verdict.severity == "note" and verdict.where == "net, a"
    assert not verdicts(mixed[:1]) and not verdicts(mixed[1:])
    [verdict] = verdicts([record("dtype_bits", 16.0, f"{n}|float16") for n in range(5)])
    assert verdict.severity == "warning" and "0, 1, 2 and 2 more is" in verdict.sentence


def test_updates_that_are_rounded_away():
    def make(rngs):
        return nnx.Linear(3, 3, param_dtype=jnp.bfloat16, use_bias=False, rngs=rngs)

    def loss(model, x):
        return jnp.mean(model(x).astype(jnp.float32) ** 2)

    x = jnp.ones((2, 3), jnp.bfloat16)
    found = diagnose(loss, make, x, seeds=1, optimizer=optax.sgd(1e-6)).verdicts
    [verdict] = [v for v in found if v.kind == "rate-too-low"]
    assert "kernel" in verdict.where and "changes no entry" in verdict.sentence
    found = diagnose(loss, make, x, seeds=1, optimizer=optax.sgd(1.0)).verdicts
    assert "rate-too-low" not in {v.kind for v in found}
