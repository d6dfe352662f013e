"""Pooling over windows, whole images and regions, and the patches of windows."""
