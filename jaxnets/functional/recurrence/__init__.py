"""Recurrence: the cells, and the ways that a step is repeated over time."""
