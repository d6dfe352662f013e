"""The loss as a traced program: what follows what, and what stops a gradient."""

from jaxnets.gradflow.program.added_taps import tap_activations
from jaxnets.gradflow.program.dataflow.blocked import Blocked
from jaxnets.gradflow.program.nonfinite import NonFinite, first_nonfinite
from jaxnets.gradflow.program.structure import Structure, trace_structure


__all__ = [
    "Blocked",
    "NonFinite",
    "Structure",
    "first_nonfinite",
    "tap_activations",
    "trace_structure",
]
