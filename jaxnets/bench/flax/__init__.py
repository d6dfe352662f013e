"""Networks of Flax's own layers, to be timed beside ours."""
