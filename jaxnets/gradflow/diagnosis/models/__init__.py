"""Verdicts on one measured model."""
