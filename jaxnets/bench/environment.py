"""What a benchmark ran on: versions, device, processor, date, and how busy it was."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

from jaxnets._version import __version__


PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def environment() -> dict[str, Any]:
    """Return what the figures hold for.

    Returns:
        Names and what they are, such as `{"jax": "0.12.0", "cores": 2}`.

    Example:
        >>> environment()["cores"] > 0
        True
    """
    devices = jax.devices()
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        # Not from the metadata, so that a tree that is not installed can run too.
        "jaxnets": __version__,
        "revision": revision(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{jax.default_backend()} ({devices[0].device_kind})",
        "devices": len(devices),
        "processor": processor(),
        "cores": cores(),
        "load": round(os.getloadavg()[0], 2),
    }


def cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2] for line in lines if line.startswith("model name"))
    return next(names, platform.processor()).strip()


def revision() -> str | None:
    """Return the Git commit of a checkout, with a plus if files differ from it."""
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
