"""Claim: on CPUs, seeds train faster in turn (`lax.map`) than side by side (`vmap`).

`vmap` over networks turns a convolution into a grouped convolution, and the arrays of
all seeds compete for the caches. The figures printed here are the reason for the
default of `over_seeds` in `compile_program`.

    uv run python benchmarks/over_seeds.py

It prints, for each network, the median time of an epoch over alternating calls, the
time to compile, and the device and versions.
"""

import functools
import statistics
import time

import jax
import optax

from jaxnets import data, models, nn, training
from jaxnets.studies import environment


SEEDS = (0, 1, 2)
REPEATS = 7


def programs(make_model, loss, batches):
    """Return the compiled training of all seeds, in both ways."""
    return {
        how: training.compile_program(
            make_model, loss, optax.sgd(0.05), batches, seeds=SEEDS, over_seeds=how
        )
        for how in ("map", "vmap")
    }


def seconds(compiled):
    """Return the median seconds of an epoch for each way; the two alternate."""
    times = {how: [] for how in compiled}
    for _ in range(REPEATS + 1):
        for how, program in compiled.items():
            rows = program.batches(training.random_key(0))
            started = time.perf_counter()
            jax.block_until_ready(program.epoch(program.initial, rows))
            times[how].append(time.perf_counter() - started)
    return {how: statistics.median(each[1:]) for how, each in times.items()}


def main() -> None:
    """Measure a residual network and three recurrent ones."""
    digits = data.digits().train
    draw = functools.partial(data.adding_problem, length=100)
    cases = {
        "ResNet-8, 8 x 8 images, batch 64": programs(
            lambda rngs: models.ResNet(8, 1, 10, widths=(16,), rngs=rngs),
            training.classification,
            training.shuffled(digits, 64),
        )
    }
    for layer in (nn.RNN, nn.GRU, nn.LSTM):
        cases[f"{layer.__name__}, 32 units, 100 steps, batch 32"] = programs(
            lambda rngs, layer=layer: models.ManyToOne(layer, 2, 32, 1, rngs=rngs),
            training.regression,
            training.generated(draw, 16, 32),
        )
    print({k: v for k, v in environment().items() if k != "platform"})
    for name, compiled in cases.items():
        taken = seconds(compiled)
        print(
            f"{name}: map {1e3 * taken['map']:.0f} ms an epoch, vmap "
            f"{1e3 * taken['vmap']:.0f} ms, vmap/map "
            f"{taken['vmap'] / taken['map']:.2f}; compiling "
            f"{compiled['map'].compile_seconds:.1f} and "
            f"{compiled['vmap'].compile_seconds:.1f} s"
        )


if __name__ == "__main__":
    main()
