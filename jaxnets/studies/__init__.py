"""The contrasts: a configuration becomes networks, training and records."""

from jaxnets.runs.configuration import ContrastConfig
from jaxnets.runs.folder import RunFolder
from jaxnets.studies.arm import Arm, Outcome
from jaxnets.studies.datasets import default_dataset
from jaxnets.studies.run import RunResult, contrast
from jaxnets.studies.self_check import self_checks
from jaxnets.training.machine import environment


__all__ = [
    "Arm",
    "ContrastConfig",
    "Outcome",
    "RunFolder",
    "RunResult",
    "contrast",
    "default_dataset",
    "environment",
    "self_checks",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
