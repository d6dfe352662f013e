"""From records to verdicts: means over seeds, thresholds, sentences."""

from jaxnets.gradflow.diagnosis.judge import verdicts as verdicts
from jaxnets.gradflow.diagnosis.models.records import flow_records as flow_records
from jaxnets.gradflow.diagnosis.verdict import Verdict as Verdict
