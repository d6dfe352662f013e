"""Attention over memories, and the generation of sequences."""
