"""Runs: their catalogue, folder and records, and estimates of their numbers. No JAX."""
