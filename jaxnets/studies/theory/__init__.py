"""The study that measures claims of the literature and compares their predictions."""

from jaxnets.studies.theory.study import INITIALISER, NOTES, arms, run


__all__ = ["INITIALISER", "NOTES", "arms", "run"]
