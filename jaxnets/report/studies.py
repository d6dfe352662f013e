"""The sections of a run, one for each study that has records."""

from jaxnets.report.depth import depth_section
from jaxnets.report.overfitting import overfitting_section
from jaxnets.report.run import Run
from jaxnets.report.saturation import saturation_section
from jaxnets.report.sections import Section
from jaxnets.report.sequences import time_section
from jaxnets.report.theory import theory_section


SECTIONS = {
    "depth": depth_section,
    "time": time_section,
    "saturation": saturation_section,
    "overfitting": overfitting_section,
}


def study_sections(run: Run) -> list[Section]:
    """Draw each study that the run asked for or has records of."""
    return [_section(run, name) for name in run.studies()]


def _section(run: Run, name: str) -> Section:
    records = run.of_study(name)
    if name == "theory":
        return theory_section(records, run.entries("claims"))
    return SECTIONS[name](records)
