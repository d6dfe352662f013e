"""Recurrences whose steps are solved side by side."""
