"""Benchmarks: this library, Flax and PyTorch take turns, round by round.

A suite is a grid of rows, a TOML file in `grids/`, and a module in `suites/` that turns
a row into cases: functions to time. `jaxnets bench` runs a suite, and so does
`jaxnets.bench.runs.run`, which needs no command-line library. With `--compile-for` it
times nothing, but compiles the suite for a chip that need not be here (`compiled/`).
`benchmarks/README.md` says how to read the figures.
"""
