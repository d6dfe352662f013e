"""The section of the study of time."""

from jaxnets.report.sections.time.drawing import draw


__all__ = ["draw"]
