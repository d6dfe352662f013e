"""Pooling over windows and whole images, and the extraction of patches."""
