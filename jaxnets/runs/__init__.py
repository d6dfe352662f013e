"""What a run leaves on disk, and how its numbers are estimated. It needs no JAX."""
