"""The study of architectures: dense, convolutional and recurrent networks."""

from jaxnets.studies.architecture.study import INITIALISER, NOTES, arms, run


__all__ = ["INITIALISER", "NOTES", "arms", "run"]
