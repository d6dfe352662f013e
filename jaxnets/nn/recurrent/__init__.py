"""Recurrent layers as Flax NNX modules."""
