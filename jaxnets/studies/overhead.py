"""What measuring costs: training with and without taps, in alternation."""

import functools
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
import optax

from jaxnets import data, models, nn, training
from jaxnets.data import Labelled


# Epochs of so many steps, so that one call is long enough to time.
STEPS = 2
REPEATS = 9


def measuring_overhead(scale: str) -> list[dict[str, Any]]:
    """Time a step of a residual and a recurrent network with and without taps.

    Both programs are compiled first and then run in turn, plain and measured, each
    call blocked on; the figures are medians, in milliseconds a step.

    Args:
        scale: `smoke` takes only a small recurrent network.

    Returns:
        Rows with `network`, `plain_ms`, `measured_ms` and `ratio`, the median of the
        ratios of neighbouring calls.
    """
    length, hidden = (10, 8) if scale == "smoke" else (128, 128)
    generator = np.random.default_rng(0)
    images = Labelled(
        generator.normal(size=(STEPS * 64, 16, 16, 3)).astype(np.float32),
        generator.integers(0, 10, STEPS * 64).astype(np.int32),
    )
    sequences = functools.partial(data.adding_problem, length=length)
    recurrent = _compare(
        f"LSTM, {hidden} units, batch 32, {length} time steps",
        lambda rngs: models.ManyToOne(nn.LSTM, 2, hidden, 1, rngs=rngs),
        training.regression,
        training.generated(sequences, STEPS, 32),
    )
    if scale == "smoke":
        return [recurrent]
    residual = _compare(
        "ResNet-20, BatchNorm, batch 64 of 16 x 16",
        lambda rngs: models.ResNet(20, 3, 10, widths=(16,), rngs=rngs),
        training.classification,
        training.shuffled(images, 64),
    )
    return [residual, recurrent]


def _compare(network: str, make_model, loss, batches) -> dict[str, Any]:
    """Time the two programs of one network."""
    # The norm at every tap, all of them in every step.
    norms = lambda taps, responses: {name: tap.norm for name, tap in taps.items()}
    watches = (None, norms)
    make = functools.partial(
        training.compile_program, make_model, loss, optax.sgd(0.1), batches, seeds=(0,)
    )
    with ThreadPoolExecutor() as pool:
        programs = list(pool.map(lambda watch: make(watch=watch), watches))
    epoch = batches(training.random_key(0))
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS + 1):
        for program, times in zip(programs, seconds, strict=True):
            started = time.perf_counter()
            jax.block_until_ready(program.epoch(program.initial, epoch))
            times.append((time.perf_counter() - started) / STEPS)
    # The first call of each warms up.
    plain, measured = seconds[0][1:], seconds[1][1:]
    ratios = [m / p for m, p in zip(measured, plain, strict=True)]
    return {
        "network": network,
        "plain_ms": 1e3 * statistics.median(plain),
        "measured_ms": 1e3 * statistics.median(measured),
        "ratio": statistics.median(ratios),
    }
