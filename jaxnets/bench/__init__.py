"""Benchmarks: this library, Flax and PyTorch take turns, round by round.

A suite is a grid of rows, a TOML file in `grids/`, and a module in `suites/` that turns
a row into cases: functions to time. `jaxnets bench` runs a suite, and so does
`jaxnets.bench.runs.run`, which needs no command-line library. With `--compile-for` it
times nothing: it compiles the suite for a chip that this machine need not have
(`compiled/`). `benchmarks/on_device.py` measures for some minutes on an accelerator
(`device/`). `benchmarks/README.md` says how to read the figures.
"""
