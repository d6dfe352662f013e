"""The command line: it is parsed and run, and mistakes are reported in one line."""

import contextlib
import io
import itertools
import shlex
import sys
from collections.abc import Sequence

import tyro

from jaxnets.cli import commands
from jaxnets.cli.arguments import Bench, Contrast, Doctor, Report, UsageError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: Command line without the program's name. None takes `sys.argv`.

    Returns:
        0 for success, 1 if `doctor` found a problem, 2 for a mistake in the arguments,
        130 if Ctrl-C ended the run.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command = _parsed(arguments)
        if isinstance(command, Contrast):
            return commands.run_contrast(command, shlex.join(["jaxnets", *arguments]))
        if isinstance(command, Bench):
            return commands.run_bench(command)
        if isinstance(command, Report):
            return commands.draw_report(command)
        return commands.examine()
    except UsageError as error:
        print(f"jaxnets: {error}", file=sys.stderr)
        return 2


def _parsed(arguments: list[str]) -> Contrast | Report | Bench | Doctor:
    """Return the command; turn tyro's box around a mistake into a `UsageError`."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.extras.subcommand_cli_from_dict(
                {
                    "contrast": Contrast,
                    "report": Report,
                    "bench": Bench,
                    "doctor": Doctor,
                },
                prog="jaxnets",
                description="See how gradients flow through networks. Start with "
                "`jaxnets contrast`; `jaxnets contrast --help` explains it.",
                args=arguments,
            )
    except SystemExit as leaving:
        if not leaving.code:
            raise
        lines = [line.strip("│ ").strip() for line in said.getvalue().splitlines()]
        # The first section of the box says what is wrong; a horizontal rule ends it.
        inside = itertools.dropwhile(lambda line: line.startswith("╭"), lines)
        first = itertools.takewhile(lambda line: line[:1] not in ("─", "╰"), inside)
        text = " ".join(filter(None, first)).partition("Argument helptext")[0]
        raise UsageError(f"{text.strip(' .')}. Try --help.") from None
