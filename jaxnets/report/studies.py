"""The sections of a run, one for each study."""

import importlib

from jaxnets.report.sections.section import Section
from jaxnets.runs.folder import Run


def study_sections(run: Run) -> list[Section]:
    """Draw the section of each study that the run asked for or has records of."""
    return [draw_study(name, run) for name in run.studies()]


def draw_study(name: str, run: Run) -> Section:
    """Draw the section of one study; its module has a function `draw`."""
    return importlib.import_module(f"jaxnets.report.sections.{name}").draw(run)
