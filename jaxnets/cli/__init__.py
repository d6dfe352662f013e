"""The `jaxnets` command: it turns arguments into a run, a report or a benchmark.

Each command imports what it needs, so `--help` needs no JAX. Importing this package
imports almost nothing, so that Ctrl-C is handled from the start.
"""

from jaxnets.cli.command_line import main


__all__ = ["main"]
