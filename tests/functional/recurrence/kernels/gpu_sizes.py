"""What fits an H200. This file imports no JAX."""

# The most units of each cell.
LARGEST = {
    "float32": {"rnn": 192, "gru": 128, "lstm": 128},
    "bfloat16": {"rnn": 256, "gru": 192, "lstm": 192},
}
