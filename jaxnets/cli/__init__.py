"""The `jaxnets` command: it turns arguments into a run, a report or a benchmark.

Only tyro is imported here. Each command imports what it needs, so `--help` needs no
JAX.
"""

from jaxnets.cli.command_line import main


__all__ = ["main"]
