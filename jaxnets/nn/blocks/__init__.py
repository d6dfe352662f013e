"""Blocks of convolutions, and stacks of them."""
