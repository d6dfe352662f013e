"""Verdicts on the loss and on the steps of the optimiser."""
