"""The machine and the versions that a run or a benchmark used."""

import datetime
import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

from jaxnets._version import __version__


PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def devices() -> list[Any]:
    """Return the devices that JAX computes on.

    Raises:
        ValueError: If JAX has none, as for a wrong name in JAX_PLATFORMS.
    """
    try:
        return jax.devices()
    except Exception as error:
        # Which exception it is depends on the platform; some have no text.
        asked = os.environ.get("JAX_PLATFORMS")
        raise ValueError(
            f"JAX finds no device to compute on; JAX_PLATFORMS is {asked!r}, which has "
            "to name platforms of this machine, such as cpu. "
            f"JAX says: {str(error) or type(error).__name__}"
        ) from error


def environment() -> dict[str, Any]:
    """Return versions, devices and processors, and how busy the machine is.

    The summary of a run, the record of a benchmark and `jaxnets doctor` show it.

    Returns:
        Values by name, such as `{"jax": "0.12.0", "cores": 2}`. `cpus` counts the
        processor cores of the machine, `cores` those that this process may use, and
        `load` is the machine's load average over the last minute. Values that this
        machine does not provide are left out.

    Example:
        >>> from jaxnets.studies import environment
        >>> environment()["cores"] > 0
        True
    """
    found = devices()
    facts = {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        # Not from package metadata, which an uninstalled source tree does not have.
        "jaxnets": __version__,
        "revision": _revision(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{jax.default_backend()} ({found[0].device_kind})",
        "devices": len(found),
        "processor": _processor(),
        "cpus": os.cpu_count() or 1,
        "cores": cores(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2] for line in lines if line.startswith("model name"))
    return next(names, platform.processor()).strip()


# Cached: the code that runs is the code that was there when the process started.
@functools.cache
def _revision() -> str | None:
    """Return the Git commit of a checkout, with a plus if its files differ from it."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    git = lambda *words: subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
    ).stdout.strip()
    try:
        commit = git("rev-parse", "--short", "HEAD")
        return commit and commit + ("+" if git("status", "--porcelain") else "")
    except OSError:
        return None
