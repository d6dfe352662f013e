"""The ways in which a convolution is computed, one file each."""
