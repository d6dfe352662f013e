"""The process that measures on the device: `python -m jaxnets.bench.device.worker`.

It reads a task from its standard input and sends messages to the `supervisor`, which
documents them.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from jaxnets.bench.device.groups import Job, jobs
from jaxnets.bench.device.options import LEAST_CONTRAST
from jaxnets.bench.device.session import Session, device_computes, reason_of
from jaxnets.bench.device.supervisor import REPLACE
from jaxnets.bench.pytorch.process import PeerError
from jaxnets.training.machine import cores, environment


def work(session: Session) -> None:
    """Do all jobs of a task in the order of importance, until the time is over.

    Each group gets its share of the time. Time that is left goes to the rows that were
    not reached, in the same order. The contrast comes last.
    """
    session.send(environment=environment())
    options = session.options
    left = {
        group: [job for job in jobs(group, options) if job.key not in session.done]
        for group in options.groups
    }
    last = left.pop("contrast", [])
    length = session.end - session.started
    before_last = session.end - (options.shares["contrast"] * length if last else 0.0)
    until = session.started
    for group in left:
        until += options.shares[group] * length
        left[group] = _do(session, left[group], until)
    for group in left:
        left[group] = _do(session, left[group], before_last)
    if session.end - time.time() >= LEAST_CONTRAST:
        _do(session, last, session.end)


def _do(session: Session, jobs: list[Job], until: float) -> list[Job]:
    """Do jobs until a time, and return those that are left."""
    batches = list(_batches(session, jobs))
    while batches and time.time() < until:
        _do_batch(session, batches.pop(0))
    return [job for batch in batches for job in batch]


def _batches(session: Session, jobs: list[Job]) -> Iterator[list[Job]]:
    """Group the jobs so that each core compiles about one program at a time."""
    batch: list[Job] = []
    for job in jobs:
        if session.is_suspect(job.key):
            yield [job]
            continue
        batch.append(job)
        if sum(each.programs for each in batch) >= cores():
            yield batch
            batch = []
    if batch:
        yield batch


def _do_batch(session: Session, batch: list[Job]) -> None:
    """Compile the programs of some jobs side by side, then run each job alone."""
    started = time.perf_counter()
    failed: dict[str, str] = {}
    for job in batch:
        session.begin_all([[each.key, "*"] for each in batch])
        try:
            job.prepare(session)
        except Exception as error:
            failed[job.key] = reason_of(error)
    session.wait()
    for job in batch:
        row: dict[str, Any] = {"key": job.key, "group": job.group}
        if job.key not in failed:
            try:
                row |= job.run(session)
            except Exception as error:
                failed[job.key] = reason_of(error)
        if job.key in failed:
            row["failed"] = failed[job.key]
        if not device_computes():
            session.send(suspects=[each.key for each in batch])
            os._exit(REPLACE)
        # The time to compile the batch counts for its first row.
        row["seconds"] = time.perf_counter() - started
        started = time.perf_counter()
        session.send(row=row)
    _tell_torch(session)


def _tell_torch(session: Session) -> None:
    """Send the version of PyTorch once, or the reason why it is not timed."""
    if session.torch_told:
        return
    session.torch_told = True
    try:
        facts = session.torch().facts
    except PeerError as error:
        facts = {"torch": f"left out: {reason_of(error)}"}
    session.send(environment=environment() | facts)


def main() -> None:
    """Read the task, do it, and end without waiting for threads that still compile."""
    task = json.loads(sys.stdin.readline())
    channel = os.fdopen(os.dup(1), "w")
    # What a library prints to standard output must not mix with the messages.
    os.dup2(2, 1)
    work(Session(task, channel))
    os._exit(0)


if __name__ == "__main__":
    main()
