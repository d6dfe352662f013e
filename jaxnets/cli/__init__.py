"""The `jaxnets` command: arguments become a configuration, a run, a report.

Only tyro is imported at the top, so that `--help` answers at once.
"""

from jaxnets.cli.command_line import main as main
