"""The study of the learning rate: how large it can be in a deeper network."""

from jaxnets.studies.rate.study import INITIALISER, NOTES, arms, run


__all__ = ["INITIALISER", "NOTES", "arms", "run"]
