"""The command line: it is parsed and run, and mistakes are reported in one line."""

import sys
from collections.abc import Sequence

from jaxnets.cli.signals import Signals


# `typing` has the same constant, but its import would delay the signal handlers.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from jaxnets.cli.streams import Stream


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: Command line without the program's name. None takes `sys.argv`, and
            handles the signals that end the process.

    Returns:
        0 for success, 1 if `check` found a fault, `doctor` a problem, or the output
        could not be written, 2 for a mistake in the arguments, 130 if Ctrl-C ended the
        run, and 143 if SIGTERM did.
    """
    signals = Signals()
    if arguments is None:
        # This comes first, because the next imports take time.
        signals.catch()
    from jaxnets.cli.streams import standard_streams

    words = list(sys.argv[1:] if arguments is None else arguments)
    leaving = None
    with standard_streams() as output:
        try:
            code = _run(words, signals, output)
        except SystemExit as error:
            # This follows --help or --version.
            leaving, code = error, 0
        except KeyboardInterrupt:
            code = signals.exit_code
        output.flush()
        if output.failure and not isinstance(output.failure, BrokenPipeError):
            reason = output.failure.strerror
            print(f"jaxnets: the output cannot be written: {reason}.", file=sys.stderr)
            return code or 1
    if leaving is not None:
        raise leaving
    return code


def _run(words: list[str], signals: Signals, output: "Stream") -> int:
    from jaxnets.cli import commands
    from jaxnets.cli.arguments import (
        Bench,
        Check,
        Contrast,
        Report,
        Sample,
        Train,
        UsageError,
        complaint,
    )
    from jaxnets.cli.parser import parse

    command = None
    try:
        command = parse(words)
        if isinstance(command, Contrast):
            return commands.run_contrast(command, words, signals)
        if isinstance(command, Check):
            from jaxnets.cli.check import run_check

            return run_check(command)
        if isinstance(command, Train):
            from jaxnets.cli.train import run_train

            return run_train(command, signals)
        if isinstance(command, Sample):
            from jaxnets.cli.sample import run_sample

            return run_sample(command)
        if isinstance(command, Bench):
            return commands.run_bench(command, signals, output)
        if isinstance(command, Report):
            return commands.draw_report(command)
        return commands.examine()
    except UsageError as error:
        given = {} if command is None else vars(command)
        print(complaint(error, {**given, **given.get("options", {})}), file=sys.stderr)
        return 2
