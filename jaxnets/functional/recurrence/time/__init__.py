"""Loops over time: options, segments, residuals and cotangents."""
