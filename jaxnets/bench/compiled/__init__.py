"""What programs cost on a chip that is not here, read from what its compiler makes.

`jaxnets bench ops --compile-for v5e` compiles every program of a suite for a TPU v5e on
a machine that has none. Nothing runs: the figures come from the text of the compiled
program, its HLO. `hlo` reads that text, `traffic`, `arithmetic` and `loops` count what
it says, and `cost` adds that up.
"""
