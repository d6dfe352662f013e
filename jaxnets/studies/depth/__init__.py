"""The study of depth: plain against residual networks."""

from jaxnets.studies.depth.settings import SCALES
from jaxnets.studies.depth.study import INITIALISER, NOTES, arms, run


__all__ = ["INITIALISER", "NOTES", "SCALES", "arms", "run"]
