"""The processes of a run: what they agree on, and which of them has ended."""

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxnets.runs.lock import run_lock, who_ended


# JAX ends a process this long after another one no longer answers; if that takes part
# in the same computation, its error comes at once.
HEARTBEAT_SECONDS = 30
NAME_BYTES = 128
_WATCHER = "from jaxnets.runs.lock import say_who_ended; say_who_ended()"


def join(
    coordinator: str | None, count: int | None = None, index: int | None = None
) -> None:
    """Join the processes of a run, before anything is computed.

    Args:
        coordinator: HOST:PORT of the process of index 0, which listens at this address
            only; None lets JAX find it, as it does under Slurm, Open MPI, Kubernetes
            and on Cloud TPUs.
        count: Number of processes; None lets JAX find it.
        index: Index of this process; None lets JAX find it.

    Raises:
        ValueError: If JAX cannot find what is None.
    """
    # Its handler of SIGTERM would replace ours.
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(
        coordinator,
        count,
        index,
        coordinator_bind_address=coordinator,
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        shutdown_timeout_seconds=HEARTBEAT_SECONDS,
    )


def is_first() -> bool:
    """Return whether this process writes the files that only one may write."""
    return jax.process_index() == 0


def largest[T: (int, float)](value: T) -> T:
    """Return the largest of the values that the processes call this with."""
    if jax.process_count() == 1:
        return value
    array = np.asarray(value, np.float32 if isinstance(value, float) else np.int32)
    return multihost_utils.process_allgather(array).max().item()


def check_alike(text: str) -> None:
    """Raise a ValueError unless all processes call this with the same text."""
    if jax.process_count() == 1:
        return
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    found = multihost_utils.process_allgather(digest)
    for index in np.flatnonzero((found != found[0]).any(1)):
        raise ValueError(
            f"Process {index} was started with another recipe or configuration than "
            "process 0; wanted the same arguments for all but --process-index."
        )


@contextlib.contextmanager
def naming_the_ended(folder: Path) -> Iterator[None]:
    """Turn the error of a computation whose other process ended into one that names it.

    Each process holds a lock in the folder, which the operating system releases when
    the process ends, however it ends. If the first process has ended, JAX may end this
    one before Python runs again; then a process beside it says the same.

    Raises:
        ConnectionError: If another process has ended.
    """
    if jax.process_count() == 1:
        yield
        return
    lock = lambda index: f".process-{index}"
    own = jax.process_index()
    # A process that was killed on another machine may have left its file, which would
    # refuse this one. That no other run is in the folder, the run's own lock ensures.
    (folder / lock(own)).unlink(missing_ok=True)
    with run_lock(folder, lock(own)):
        others = {lock(n): name for n, name in enumerate(_names()) if n != own}
        watcher = subprocess.Popen(
            [sys.executable, "-c", _WATCHER, str(folder), json.dumps(others)],
            stdin=subprocess.PIPE,
            # Ctrl-C is meant for this process.
            start_new_session=True,
        )
        try:
            yield
        except Exception as error:
            if sentence := who_ended(folder, others):
                raise ConnectionError(sentence) from error
            raise
        finally:
            watcher.communicate(b"This process goes on, or has said why it ends.")


def _names() -> list[str]:
    """Return what to call each process, which also waits until all are here."""
    name = f"process {jax.process_index()} (process id {os.getpid()} on "
    written = f"{name}{platform.node()})".encode()[:NAME_BYTES]
    row = np.frombuffer(written.ljust(NAME_BYTES, b"\0"), np.uint8)
    rows = multihost_utils.process_allgather(row)
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in rows]
