"""The contrasts: a configuration becomes networks, training and records."""

from jaxnets.runs.folder import ContrastConfig as ContrastConfig
from jaxnets.runs.folder import RunFolder as RunFolder
from jaxnets.studies.arm import Arm as Arm
from jaxnets.studies.arm import Outcome as Outcome
from jaxnets.studies.datasets import default_dataset as default_dataset
from jaxnets.studies.machine import environment as environment
from jaxnets.studies.run import STUDIES as STUDIES
from jaxnets.studies.run import RunResult as RunResult
from jaxnets.studies.run import contrast as contrast
from jaxnets.studies.self_check import self_checks as self_checks
