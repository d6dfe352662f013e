"""A run: every arm of the chosen studies, with its results saved when it ends."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from pathlib import Path
from typing import NamedTuple

import jax
from rich.console import Console

from jaxnets import gradflow
from jaxnets.runs.catalogue import STUDIES
from jaxnets.runs.configuration import ContrastConfig
from jaxnets.runs.folder import RunFolder
from jaxnets.studies import datasets
from jaxnets.studies.arm import Arm, Outcome
from jaxnets.studies.progress import RunProgress
from jaxnets.studies.run_state import RunState, study_module


# The largest number of arms that run at a time on CPUs.
SIDE_BY_SIDE = 4


class RunResult(NamedTuple):
    """How a run ended.

    Attributes:
        path: Its folder.
        interrupted: Whether Ctrl-C or another `KeyboardInterrupt` ended it.
        verdicts: What its records say so far.

    Example:
        >>> from pathlib import Path
        >>> from jaxnets.studies import RunResult
        >>> RunResult(Path("runs/first"), interrupted=True, verdicts=[]).path.name
        'first'
    """

    path: Path
    interrupted: bool
    verdicts: list[gradflow.Verdict]


def contrast(
    config: ContrastConfig,
    path: str | os.PathLike[str],
    *,
    resume: bool = False,
    command: str = "",
    console: Console | None = None,
) -> RunResult:
    """Run the studies of `config` into the folder `path`.

    Records and summary are written after every arm, so that an interrupted run can be
    read and, with `resume`, finished: arms that have ended are not run again. An arm
    counts as ended if all its records are in `records.csv`, according to their number
    and checksum in `summary.json`. Otherwise it runs again: the console says so, and
    names the file to which the old `records.csv` is copied.

    Args:
        config: What to run. With `resume` it is what the run was asked for.
        path: Folder of the run: a new or an empty one, unless it is resumed.
        resume: Whether the folder holds a run to be finished.
        command: The command that asked for it, for the report.
        console: Where progress is shown; None is the terminal's error stream.

    Returns:
        The `RunResult`.

    Raises:
        BlockingIOError: If another process runs in the folder.
        FileExistsError: If the folder is not empty and `resume` is not asked for.
        FileNotFoundError: If the files of the data set are not there, or the folder
            that is to be resumed holds no run.
        TypeError: If `config` is not a `ContrastConfig`, or `path` not a path.
        ValueError: If `path` is not a folder; or if the run to be resumed was asked
            for something else, or its files cannot be read.

    Example:
        Some seconds of work, so this one is not run as a test:

            config = ContrastConfig(("time",), "smoke", (0, 1, 2), "digits")
            result = contrast(config, Path("runs/first"))
            records = read_records(result.path / "records.csv")
    """
    if not isinstance(config, ContrastConfig):
        raise TypeError(
            f"`config` is {config!r}; wanted a ContrastConfig, such as "
            'ContrastConfig(("time",), "smoke", (0, 1, 2), "digits").'
        )
    folder = RunFolder(path)
    if not resume:
        folder.check_free()
    elif differences := config.differences(folder.config()):
        raise ValueError(
            f"`config` is not that of the run in {folder.path}: {differences}. Resume "
            "it with `RunFolder(path).config()`, or choose another folder."
        )
    if any(STUDIES[name].images for name in config.studies):
        # Loaded before anything is written, so that missing files leave no empty run.
        datasets.load(config.dataset)
    with folder.lock():
        if not resume:
            folder.create(config)
        run = RunState(config, folder, command)
        return _finish(run, console or Console(stderr=True))


def _finish(run: RunState, console: Console) -> RunResult:
    """Run the remaining arms, and save what was measured however that ends."""
    for remark in run.remarks:
        console.print(remark, markup=False, highlight=False)
    path = run.folder.path
    try:
        with (
            _compiler_options_of(run.config.scale),
            RunProgress(console, len(run.arms), run.ended) as progress,
        ):
            _run_arms(run, progress, console)
        run.save()
    except KeyboardInterrupt:
        # A second one ends the saving; each file is then either the old or the new one.
        with contextlib.suppress(KeyboardInterrupt):
            run.save()
        return RunResult(path, True, run.verdicts())
    return RunResult(path, False, run.verdicts())


@contextlib.contextmanager
def _compiler_options_of(scale: str) -> Iterator[None]:
    """Compile with few optimisations at smoke scale, where compiling takes longest."""
    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    jax.config.update(name, before or scale == "smoke")
    try:
        yield
    finally:
        jax.config.update(name, before)


def _run_arms(run: RunState, progress: RunProgress, console: Console) -> None:
    """Run the remaining arms, and save the outcome of each when it ends.

    A network of this size keeps one CPU core busy. So on CPUs as many arms run at a
    time as there are cores, and on an accelerator one. The outcome of an arm does not
    depend on the others.
    """
    stop = threading.Event()

    def run_arm(arm: Arm) -> tuple[Arm, Outcome, float]:
        def on_epoch(*figures) -> None:
            if stop.is_set():
                raise _Stopped
            progress.epoch(arm, *figures)

        if stop.is_set():
            raise _Stopped
        progress.begin(arm)
        started = time.perf_counter()
        outcome = study_module(arm.study).run(arm, run.config.seeds, on_epoch)
        return arm, outcome, time.perf_counter() - started

    cores = os.cpu_count() or 1
    workers = min(cores, SIDE_BY_SIDE) if jax.default_backend() == "cpu" else 1
    pool = ThreadPoolExecutor(workers)
    begun: list[Future[tuple[Arm, Outcome, float]]] = []
    try:
        begun.extend(pool.submit(run_arm, arm) for arm in run.remaining())
        for done in as_completed(begun):
            arm, outcome, seconds = done.result()
            run.add(arm, outcome, seconds)
            progress.end(arm, seconds, outcome.message)
    except KeyboardInterrupt:
        stop.set()
        console.print("Stopping: arms that are running end at their next epoch.")
        raise
    finally:
        # After Ctrl-C or an error, arms end at their next epoch or do not begin.
        stop.set()
        pool.shutdown(wait=False)
        # This waits for the arms and not for the threads. If a second Ctrl-C interrupts
        # the wait for a thread, Python 3.12 forgets that it runs, and crashes at exit.
        wait(begun)


class _Stopped(Exception):
    """Raised inside an arm to end it when the run has been interrupted."""
