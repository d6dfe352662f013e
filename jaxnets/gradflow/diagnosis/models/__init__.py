"""Verdicts on a network that a user measured."""
