"""The gradient flow of a training that somebody else wrote, while it runs.

`monitor` has the call that goes into a training step, `numbers` what it measures and
how that leaves the compiled program, `alarms` what is wrong with it, and `sinks` the
files, TensorBoard and functions that it goes to.
"""

from jaxnets.gradflow.monitoring.monitor import Monitor
from jaxnets.gradflow.monitoring.sinks import MonitorReport


__all__ = ["Monitor", "MonitorReport"]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
