"""The study of theory: claims of the literature, measured without training."""

from jaxnets.studies.theory.study import INITIALISER, NOTES, arms, run


__all__ = ["INITIALISER", "NOTES", "arms", "run"]
