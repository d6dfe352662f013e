"""Kernels that run all steps of a recurrence in one launch, written in Pallas."""
