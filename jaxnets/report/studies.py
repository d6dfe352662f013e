"""The sections of a run, one for each study that has records."""

from jaxnets.report.sections.depth import depth_section
from jaxnets.report.sections.overfitting import overfitting_section
from jaxnets.report.sections.saturation import saturation_section
from jaxnets.report.sections.section import Section
from jaxnets.report.sections.theory import theory_section
from jaxnets.report.sections.time import time_section
from jaxnets.runs.reading import Run


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
