"""Attention over memories, the generation of sequences, and spectra of sounds."""
