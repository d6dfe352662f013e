"""Attention over a memory: the layers, which hold the projections."""
