"""Instruments: how gradients flow, measured, predicted and put into words."""

from jaxnets.gradflow.measure import Flow as Flow
from jaxnets.gradflow.measure import measure as measure
from jaxnets.tap import TapStats as TapStats
from jaxnets.tap import scope as scope
from jaxnets.tap import tap as tap
