"""The ways in which a window is reduced, one file each."""
