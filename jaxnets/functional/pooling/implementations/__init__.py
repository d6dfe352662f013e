"""Implementations of reductions over windows, one file for each kind."""
