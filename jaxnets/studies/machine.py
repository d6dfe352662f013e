"""What a run ran on: versions, devices, processors."""

import importlib.metadata
import os
import platform
from typing import Any

import jax

from jaxnets._version import __version__


PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def environment() -> dict[str, Any]:
    """Return versions and devices, for the summary of a run and for `doctor`.

    Returns:
        Names and what they are, such as `{"jax": "0.12.0", "cpus": 2}`.

    Example:
        >>> sorted(environment())[:3]
        ['cpus', 'device', 'devices']
    """
    devices = jax.devices()
    return {
        # Not from the metadata, so that a tree that is not installed can run too.
        "jaxnets": __version__,
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{jax.default_backend()} ({devices[0].device_kind})",
        "devices": len(devices),
        "cpus": os.cpu_count() or 1,
    }
