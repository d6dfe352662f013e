"""The gradient flow of a training that somebody else wrote, while it runs.

`monitor` has the calls that go into and around a training step, `evaluation` what they
compute, `numbers` what is measured and how that leaves the compiled program, `alarms`
what is wrong with it, `reports` what was said so far, and `sinks` the files,
TensorBoard and functions that it goes to.
"""

from jaxnets.gradflow.monitoring.monitor import Monitor
from jaxnets.gradflow.monitoring.sinks import MonitorReport


__all__ = ["Monitor", "MonitorReport"]
