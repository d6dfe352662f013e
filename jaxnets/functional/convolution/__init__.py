"""Convolutions: ordinary, depthwise, causal and transposed."""
