"""Remedies that are applied to a copy of a network, and measured.

`changes` gives a copy new weights, `trials` lists the remedies for a verdict, `rates`
trains at other learning rates, and `verdict` says in words what they gave.
"""

from jaxnets.gradflow.evidence.remedies.trials import Trials
from jaxnets.gradflow.evidence.remedies.verdict import with_remedy


__all__ = ["Trials", "with_remedy"]
