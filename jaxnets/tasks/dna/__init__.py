"""DNA: a network that tells classes of sequences apart, by motifs and positions."""

from jaxnets.tasks.dna.training import TASK, prepare


__all__ = ["TASK", "prepare"]
