"""The lock of a run folder: one process at a time writes a run."""

import contextlib
import datetime
import errno
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from jaxnets.runs.files import printable


try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".lock"
# How long an ending process may take to release its lock after its connections.
RELEASE_SECONDS = 3.0
# What a file system without locks answers.
UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def run_lock(folder: Path, name: str = LOCK) -> Iterator[None]:
    """Hold the lock of a run folder; it is released at the end, also after an error.

    The operating system holds the lock and releases it when a process ends, so the file
    that a killed process leaves locks nothing, even if another process now has its
    process id. The file says who holds the lock. Where the system or the file system
    has no locks, no error is raised.

    Args:
        folder: The folder, which exists.
        name: Name of the lock's file.

    Raises:
        BlockingIOError: If another process holds the lock, or one of another host left
            its file: such a lock cannot be checked from here.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as path:
        ...     with run_lock(Path(path)):
        ...         (Path(path) / LOCK).exists()
        ...     (Path(path) / LOCK).exists()
        True
        False
    """
    path = folder / name
    if fcntl is None:
        yield
        return
    file = _locked(path)
    try:
        host, now = platform.node(), datetime.datetime.now(datetime.UTC)
        holder = {"pid": os.getpid(), "host": host, "since": now.isoformat()[:19]}
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(holder).encode(), 0)
        yield
    finally:
        # Removed while it is still locked, so that no other process holds it.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(file)


def is_held(folder: Path, name: str) -> bool:
    """Return whether a process holds a lock; where there are no locks, True.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as path:
        ...     with run_lock(Path(path), "a"):
        ...         print(is_held(Path(path), "a"))
        ...     print(is_held(Path(path), "a"))
        True
        False
    """
    if fcntl is None:
        return True
    try:
        file = os.open(folder / name, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def who_ended(folder: Path, names: Mapping[str, str]) -> str:
    """Return a sentence that names the processes whose locks are released, or "".

    It waits for some seconds until one is.

    Args:
        folder: The folder of the locks.
        names: What to call the process, for the name of each lock.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as path:
        ...     who_ended(Path(path), {".process-0": "process 0"}).partition(",")[0]
        'process 0 ended before the run did'
    """
    end = time.monotonic() + RELEASE_SECONDS
    while time.monotonic() < end:
        if ended := [names[name] for name in names if not is_held(folder, name)]:
            return (
                f"{' and '.join(ended)} ended before the run did, so this process "
                "ends too. Start all processes again with --resume; the newest "
                "checkpoint is intact."
            )
        time.sleep(0.1)
    return ""


def say_who_ended() -> None:
    """Call `who_ended` if the process that started this one ends without a word.

    This process gets the arguments on its command line, and waits for the end of its
    input. It has none if the other process has ended without running its own code.
    """
    folder, names = Path(sys.argv[1]), json.loads(sys.argv[2])
    if not sys.stdin.read() and (sentence := who_ended(folder, names)):
        print(f"jaxnets: {sentence}", file=sys.stderr)


def _locked(path: Path) -> int:
    """Return the descriptor of the lock's file, locked."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            _lock(file, path)
            # The process that held the lock may have removed the file meanwhile.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file)):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _lock(file: int, path: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        refused = False
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        refused = True
    holder = _holder(file)
    host = holder.get("host")
    elsewhere = host not in (None, platform.node())
    if not refused and not elsewhere:
        return
    raise BlockingIOError(
        f"{path.parent} is in use: process {holder.get('pid', 'unknown')} on "
        f"{host or 'this machine'} has been writing it since "
        f"{holder.get('since', 'just now')} (UTC). Wait until it has ended"
        + (f", or, if it was killed, delete {path}." if elsewhere else ".")
    )


def _holder(file: int) -> dict[str, str]:
    """Return what the file says of who holds the lock, as far as it can be read."""
    try:
        found = json.loads(os.pread(file, 1000, 0))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: printable(str(value)) for name, value in found.items()}
