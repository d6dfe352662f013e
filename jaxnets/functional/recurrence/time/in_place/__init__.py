"""The loop that writes its residuals in place, and its chunks."""
