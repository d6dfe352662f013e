"""Benchmarks: this library, Flax and PyTorch in turn, round by round.

`python -m jaxnets.bench` needs no more than JAX, Flax and Optax; `jaxnets bench` is the
same. A suite is a grid of rows, data in `benchmarks/`, and a module that turns a row
into cases: functions to time. `benchmarks/README.md` says how to read the figures.
"""
