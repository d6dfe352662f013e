"""Implementations of convolutions, one file each."""
