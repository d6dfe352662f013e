"""Rows of grids as jobs: all programs of a row are compiled, then timed alone."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxnets.bench.cases import Case
from jaxnets.bench.device.session import Session, reason_of
from jaxnets.bench.grid import Row
from jaxnets.bench.measurement import Measurement
from jaxnets.bench.pytorch.process import PeerError
from jaxnets.bench.timing import JaxProgram, no_garbage_collection, warm_up
from jaxnets.choices import plan


# Seconds of calls before a sample that are not timed.
UNTIMED = 0.003
# A contender that has run for this many seconds is not sampled again.
PATIENCE = 0.3


class Suite(NamedTuple):
    """How the rows of a group are timed.

    Attributes:
        name: Name of the group.
        cases: Turns a row into cases.
        programs: About how many programs a row has.
        left_out: Names of programs that are not timed.
        torch: Whether PyTorch is timed too.
        planned: Whether `plan` looks up what ours runs, which traces it once more.
        options: Options of the compiler, by contender.
    """

    name: str
    cases: Callable[[Row], Iterable[Case]]
    programs: int
    left_out: tuple[str, ...] = ()
    torch: bool = False
    planned: bool = True
    options: Mapping[str, dict[str, Any]] = MappingProxyType({})


class RowJob:
    """The job that times a row of a grid.

    Args:
        suite: How to time it.
        row: The row.
    """

    def __init__(self, suite: Suite, row: Row):
        self.suite, self.row = suite, row
        self.group = suite.name
        self.key = f"{suite.name}: {row.name}"
        self.programs = suite.programs
        self._cases: list[tuple[Case, str, dict[str, Future[Any]]]] = []

    def prepare(self, session: Session) -> None:
        """Begin to compile all programs."""
        for case in self.suite.cases(self.row):
            wanted = {
                who: program
                for who, program in case.programs.items()
                if who not in (*self.suite.left_out, *session.options.without)
                and (who != "flax" or "flax" in session.options.peers)
            }
            chosen = _plan(case) if self.suite.planned else ""
            if chosen in wanted:
                # Ours is the program of this name.
                del wanted["ours"]
            futures = {
                who: session.submit(
                    self.key,
                    f"{case.direction} {who}",
                    JaxProgram,
                    program,
                    self.suite.options.get(who),
                )
                for who, program in wanted.items()
            }
            self._cases.append((case, chosen, futures))

    def run(self, session: Session) -> dict[str, Any]:
        """Time the programs and return the fields of the row."""
        measured = []
        while self._cases:
            case, chosen, futures = self._cases.pop(0)
            timed = _time_case(self, session, case, chosen, futures)
            measured.append(dataclasses.asdict(timed))
        return {"measurements": measured}


def _time_case(job: RowJob, session: Session, case: Case, chosen: str, futures):
    skipped: dict[str, str] = {}
    own = _compiled(session, futures, skipped)
    programs: dict[str, Any] = dict(own)
    with_torch = job.suite.torch and "torch" not in session.options.without
    if with_torch and case.in_torch:
        session.begin(job.key, f"{case.direction} torch")
        try:
            programs["torch"] = session.torch().prepare(case)
        except (PeerError, OSError) as error:
            skipped["torch"] = reason_of(error)
    seconds, calls = _sample(job.key, session, case.direction, programs, skipped)
    if chosen in seconds and "ours" not in seconds:
        seconds["ours"], calls["ours"] = seconds[chosen], calls[chosen]
    compile_seconds = {who: program.compile_seconds for who, program in own.items()}
    if chosen in compile_seconds:
        compile_seconds.setdefault("ours", compile_seconds[chosen])
    return Measurement(
        name=case.row.name,
        group=case.row.group,
        direction=case.direction,
        plan=chosen,
        spec=case.row.spec,
        seconds=seconds,
        calls=calls,
        compile_seconds=compile_seconds,
        temp_bytes={w: p.temp_bytes for w, p in own.items() if p.temp_bytes},
        parameters=case.parameters,
        skipped=skipped,
    )


def _compiled(
    session: Session, futures: dict[str, Future[Any]], skipped: dict[str, str]
) -> dict[str, JaxProgram]:
    """Return the programs that compiled; add the reasons of the others to `skipped`."""
    programs = {}
    for who, future in futures.items():
        try:
            programs[who] = session.result(future)
        except Exception as error:
            skipped[who] = reason_of(error)
    return programs


def _sample(
    key: str,
    session: Session,
    direction: str,
    programs: dict[str, Any],
    skipped: dict[str, str],
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Sample the programs in turn, round by round; leave out the ones that fail."""
    options = session.options
    seconds: dict[str, list[float]] = {}
    samples = {}

    def attempt(who: str, call: Callable[..., Any], *arguments: Any) -> Any:
        session.begin(key, f"{direction} {who}")
        try:
            return call(*arguments)
        except Exception as error:
            session.check_device(key, f"{direction} {who}", error)
            skipped[who] = reason_of(error)
            seconds.pop(who, None)
            samples.pop(who, None)

    with no_garbage_collection():
        for who, program in programs.items():
            size = attempt(who, warm_up, program, options.sample_seconds, UNTIMED)
            if size is not None:
                samples[who], seconds[who] = size, []
        for number in range(options.rounds):
            for who in _rotated(list(samples), number):
                sample = samples[who]
                if sum(seconds[who]) * sum(sample) >= PATIENCE:
                    continue
                taken = attempt(who, programs[who].seconds, *sample)
                if taken is not None:
                    seconds[who].append(taken)
    return seconds, {who: sample.calls for who, sample in samples.items()}


def _rotated(names: list[str], number: int) -> list[str]:
    """Return the names in another order for every round."""
    start = number % max(1, len(names))
    return list(itertools.chain(names[start:], names[:start]))


def _plan(case: Case) -> str:
    """Return the implementation of ours that is chosen, or "" if that is unknown."""
    program = case.programs["ours"]
    try:
        chosen = plan(program.function, *program.arguments)
    except Exception:
        return ""
    return " ".join(dict.fromkeys(c.implementation for c in chosen.choices))
