"""Persistent kernels: one launch runs a recurrence over all steps."""
