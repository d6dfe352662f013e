"""PyTorch as a peer, in a separate process with its own interpreter."""
