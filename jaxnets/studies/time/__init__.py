"""The study of recurrent and gated networks over time."""

from jaxnets.studies.time.study import INITIALISER, NOTES, arms, run


__all__ = ["INITIALISER", "NOTES", "arms", "run"]
