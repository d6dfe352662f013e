"""The study of time: recurrent against gated networks."""

from jaxnets.studies.time.study import INITIALISER, NOTES, arms, run


__all__ = ["INITIALISER", "NOTES", "arms", "run"]
