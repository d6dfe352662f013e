"""Kernels for TPUs. `passes` has the functions, and only it imports Pallas."""
