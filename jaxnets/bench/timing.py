"""Timing: contenders are compiled first, then sampled in turn, round by round."""

import contextlib
import gc
import itertools
import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from jaxnets.bench.cases import Case, Program
from jaxnets.bench.measurement import Measurement
from jaxnets.bench.options import PEERS
from jaxnets.bench.pytorch.process import PeerError, TorchProcess
from jaxnets.choices import plan


# The most calls in a sample, so that a sample of a call that costs nothing ends.
MOST_CALLS = 2000
# A contender that has run for this many seconds takes part in no further round.
PATIENCE = 15.0
# If the first call takes longer than this many seconds, it is warm-up enough.
SLOW = 2.0
# Seconds of calls that precede a sample and are not timed. After another process has
# run, Linux may keep the threads of the next one on a single core for about this long
# (README.md of benchmarks/ has figures).
UNTIMED = 0.05


class JaxProgram:
    """A compiled function and its arguments on the device.

    Args:
        program: The function and its arguments.
        options: Options of the compiler for this program alone.

    Attributes:
        compile_seconds: The seconds that tracing and compiling took.
        temp_bytes: The memory that it needs beside arguments and results; None if the
            backend does not report it.
    """

    def __init__(self, program: Program, options: dict[str, Any] | None = None):
        # JAX may still be computing them; it would compete with the compiler.
        jax.block_until_ready(program.arguments)
        started = time.perf_counter()
        self.temp_bytes = None
        if program.compiled:
            self._call = program.function
            jax.block_until_ready(self._call(*program.arguments))
        else:
            lowered = jax.jit(program.function).lower(*program.arguments)
            self._call = lowered.compile(options)
            analysis = self._call.memory_analysis()
            self.temp_bytes = getattr(analysis, "temp_size_in_bytes", None)
        self.compile_seconds = time.perf_counter() - started
        self._arguments = program.arguments
        # On a CPU calls may overlap, which training steps never do, so each call is
        # waited for. An accelerator runs them in order, and waiting for each one would
        # time the dispatch instead.
        self._wait_each = jax.default_backend() == "cpu"

    def seconds(self, calls: int, before: int = 0) -> float:
        """Return the mean seconds of a call.

        Args:
            calls: Number of calls that are timed.
            before: Number of calls that precede them and are not timed.
        """
        self._run(before)
        started = time.perf_counter()
        self._run(calls)
        return (time.perf_counter() - started) / calls

    def _run(self, calls: int) -> None:
        out = None
        for _ in range(calls):
            out = self._call(*self._arguments)
            if self._wait_each:
                jax.block_until_ready(out)
        jax.block_until_ready(out)


def time_case(
    case: Case,
    *,
    peers: tuple[str, ...],
    torch: TorchProcess | None,
    rounds: int,
    sample_seconds: float,
) -> Measurement:
    """Time all contenders of one case.

    Args:
        case: The case to time.
        peers: Names of the peers that take part beside our own programs.
        torch: The PyTorch process, or None if PyTorch does not take part.
        rounds: Number of rounds after the warm-up. In each one every contender is
            sampled once.
        sample_seconds: The least duration of a sample, which sets its number of calls.

    Returns:
        The measurement with all samples.
    """
    absent = set(PEERS) - set(peers)
    own = {w: JaxProgram(p) for w, p in case.programs.items() if w not in absent}
    programs: dict[str, Any] = dict(own)
    skipped = {}
    if torch is not None and case.in_torch:
        try:
            programs["torch"] = torch.prepare(case)
        except PeerError as error:
            skipped["torch"] = str(error)
    seconds: dict[str, list[float]] = {who: [] for who in programs}
    with no_garbage_collection():
        samples = {who: warm_up(p, sample_seconds) for who, p in programs.items()}
        # Permutations, so that no contender always comes first or after the same one.
        orders = itertools.cycle(itertools.permutations(programs))
        for order in itertools.islice(orders, rounds):
            for who in order:
                sample = samples[who]
                if sum(seconds[who]) * sum(sample) < PATIENCE:
                    seconds[who].append(programs[who].seconds(*sample))
    chosen = plan(case.programs["ours"].function, *case.programs["ours"].arguments)
    return Measurement(
        name=case.row.name,
        group=case.row.group,
        direction=case.direction,
        plan=" ".join(dict.fromkeys(c.implementation for c in chosen.choices)),
        spec=case.row.spec,
        seconds=seconds,
        calls={who: sample.calls for who, sample in samples.items()},
        compile_seconds={who: p.compile_seconds for who, p in own.items()},
        temp_bytes={who: p.temp_bytes for who, p in own.items() if p.temp_bytes},
        parameters=case.parameters,
        skipped=skipped,
    )


class Sample(NamedTuple):
    """The number of calls that are timed, and of those before them that are not."""

    calls: int
    before: int


def warm_up(program: Any, sample_seconds: float, untimed: float = UNTIMED) -> Sample:
    """Run for about the duration of a sample and return the size of the samples.

    Args:
        program: A `JaxProgram`, or another object that has its `seconds`.
        sample_seconds: The least duration of a sample.
        untimed: The seconds of the calls that precede it and are not timed.
    """
    taken = program.seconds(1)
    if taken > SLOW:
        return Sample(1, 0)
    for _ in range(2):
        sample = Sample(_calls(sample_seconds, taken), _calls(untimed, taken))
        taken = program.seconds(*sample)
    return sample


def _calls(seconds: float, each: float) -> int:
    """Return how many calls of `each` seconds last for `seconds`."""
    return max(1, min(math.ceil(seconds / each), MOST_CALLS))


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect garbage once, and then none inside the block."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
