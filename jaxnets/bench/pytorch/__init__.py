"""PyTorch as a peer: a process of its own, with an interpreter of its own."""
