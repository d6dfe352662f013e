"""From records to verdicts: means over seeds, thresholds, sentences.

Verdicts that studies and models share are named after their kinds. `studies` has those
of each study, `models` those of a network that a user measured.
"""

from jaxnets.gradflow.diagnosis.judge import verdicts
from jaxnets.gradflow.diagnosis.models.records import flow_records
from jaxnets.gradflow.diagnosis.verdict import Verdict


__all__ = ["Verdict", "flow_records", "verdicts"]
