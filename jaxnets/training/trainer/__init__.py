"""A training run that can be left alone: its recipe, call, checkpoints and metrics."""
