"""A parser of one command, which raises errors and fits its help to the terminal."""

import argparse
import difflib
import itertools
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Never

from jaxnets.cli.arguments import UsageError


class CommandParser(argparse.ArgumentParser):
    """A parser that raises `UsageError`, and whose help fits the terminal.

    Args:
        name: The command, such as `jaxnets report`.
        description: What it does.
        lists: Titles of lists of words that are explained below the options.
        end: The end of the help.
        usage: How the command is called, if argparse cannot tell.
    """

    def __init__(
        self,
        name: str,
        description: str,
        lists: Mapping[str, Mapping[str, str]] | None = None,
        end: str = "",
        usage: str | None = None,
    ):
        columns = shutil.get_terminal_size().columns - 2
        after = [_listing(*each, columns) for each in (lists or {}).items()]
        super().__init__(
            name,
            usage=usage,
            description=textwrap.fill(description, columns),
            epilog="\n\n".join([*after, *filter(None, [textwrap.fill(end, columns)])]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the arguments, in any order.

        An option that does not exist is named first: the word after it, which argparse
        takes for something else, may be its value.
        """
        options = self._option_string_actions
        for word in itertools.takewhile(lambda word: word != "--", words):
            name = word.partition("=")[0]
            if name.startswith("--") and name not in options:
                near = difflib.get_close_matches(name, options, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                self.error(f"there is no option {name}{hint}")
        return self.parse_intermixed_args(words)

    def error(self, message: str) -> Never:
        """Raise a `UsageError` instead of printing the usage and exiting."""
        end = "" if message.endswith("?") else "."
        raise UsageError(f"{message}{end} Try {self.prog} --help.")


def _listing(title: str, rows: Mapping[str, str], columns: int) -> str:
    """Return a list of words with their explanations, as argparse lays out options."""
    indent = max(map(len, rows)) + 4
    lines = [
        textwrap.fill(
            text,
            columns,
            initial_indent=f"  {name}".ljust(indent),
            subsequent_indent=" " * indent,
        )
        for name, text in rows.items()
    ]
    return "\n".join([f"{title}:", *lines])


def as_path(word: str) -> Path:
    """Return a word of the command line as a path."""
    if not word:
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(word)
