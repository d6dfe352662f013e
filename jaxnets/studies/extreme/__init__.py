"""The study of extreme depth: thousands of layers without shortcuts or norms."""

from jaxnets.studies.extreme.study import INITIALISER, NOTES, arms, run


__all__ = ["INITIALISER", "NOTES", "arms", "run"]
