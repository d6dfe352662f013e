"""From records to verdicts: means over seeds, thresholds, sentences."""

from jaxnets.gradflow.diagnosis.models.flow_records import flow_records as flow_records
from jaxnets.gradflow.diagnosis.verdict import Verdict as Verdict
from jaxnets.gradflow.diagnosis.verdicts import verdicts as verdicts
