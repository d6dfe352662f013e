"""`jaxnets check`: what is wrong with the model of a file, in words and as a page."""

import contextlib
import sys
import textwrap
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from jaxnets.cli.arguments import Check, UsageError
from jaxnets.cli.command_parser import CommandParser, as_path
from jaxnets.cli.commands import new_folder, shown
from jaxnets.cli.streams import line
from jaxnets.runs.folder import RunFolder


if TYPE_CHECKING:
    from jaxnets.gradflow import Diagnosis, Verdict

# How each severity is shown on a terminal.
_STYLES = {
    "fault": "bold red",
    "warning": "bold yellow",
    "note": "bold",
    "well": "bold green",
}


def parse_check(words: Sequence[str]) -> Check:
    """Return the arguments of `jaxnets check`."""
    parser = CommandParser(
        "jaxnets check",
        "Say why the model that a Python file defines does not train. Its gradients "
        "are measured for several seeds; what is wrong is said in words, and a page "
        "shows the measurements. Nothing is trained without --steps. The exit code is "
        "1 if there is a fault, and otherwise 0.",
        {
            "the file defines": {
                "make(rngs)": "returns the model, an nnx.Module.",
                "loss(model, batch)": "returns a scalar, or (scalar, aux). A tuple is "
                "passed as loss(model, *batch); if the loss does not accept so many "
                "arguments, it is passed whole.",
                "batch(key)": "returns a batch, the same for all updates.",
                "optimizer": "the Optax transform; needed for --steps.",
                "classes": "the number of classes, to judge the loss at the start; may "
                "be left out.",
            }
        },
    )
    parser.add_argument("file", type=as_path, metavar="FILE", help="The Python file.")
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        default=Check.seeds,
        help="Number of networks to make, 3 by default.",
    )
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        default=Check.steps,
        help="Number of updates between the first and the last measurement, all on one "
        "batch; 0 by default.",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="Print the verdicts as JSON, and write a page only with --out.",
    )
    parser.add_argument(
        "--out",
        type=as_path,
        metavar="FOLDER",
        help="Folder of the page and the records; by default runs/ followed by the "
        "date and time.",
    )
    return Check(**vars(parser.parse(words)))


def run_check(command: Check) -> int:
    """Diagnose the model; return 1 if there is a fault, and otherwise 0."""
    folder = command.out or (None if command.json else new_folder())
    try:
        if folder is not None:
            RunFolder(folder).check_free()
        diagnosis = _diagnosed(command)
        page = None if folder is None else diagnosis.write(folder)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    if command.json:
        print(diagnosis.to_json())
    else:
        _print_verdicts(diagnosis.verdicts)
    if page is not None and not command.json:
        print(f"\nReport: {shown(page)}")
    return 0 if diagnosis.ok else 1


def _diagnosed(command: Check) -> "Diagnosis":
    """Diagnose the file. If it fails, print the lines of it that led there."""
    from jaxnets.gradflow.evidence.user_file import diagnose_file

    # What the file prints must not mix with JSON.
    output = contextlib.redirect_stdout(sys.stderr)
    try:
        with output if command.json else contextlib.nullcontext():
            return diagnose_file(command.file, seeds=command.seeds, steps=command.steps)
    except SystemExit as error:
        raise UsageError(
            f"{command.file} ended the program; wanted a file that only defines "
            "functions. Put what it runs below `if __name__ == '__main__':`."
        ) from error
    except Exception as error:
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename.endswith(str(command.file))
        ]
        for frame in frames:
            place = f"{frame.filename}:{frame.lineno}, in {frame.name}"
            print(f"{line(place)}\n    {line(frame.line)}", file=sys.stderr)
        # Without a line of the file these are our own errors, which name the mistake.
        ours = (AttributeError, FileNotFoundError, TypeError, ValueError)
        named = frames or not isinstance(error, ours)
        kind = f"{type(error).__name__}: " if named else ""
        raise UsageError(f"{kind}{error}") from error


def _print_verdicts(verdicts: "Iterable[Verdict]") -> None:
    """Print how many verdicts of each severity there are, and then each."""
    from rich.console import Console
    from rich.text import Text

    verdicts = list(verdicts)
    console = Console(highlight=False)
    counts = Counter(verdict.severity for verdict in verdicts)
    console.print(Text(_counted(counts), "bold"))
    for verdict in verdicts:
        title = line(f"{verdict.severity}: {verdict.kind}")
        head = Text(_wrapped(f"{title} ({verdict.where})", console.width))
        head.stylize(_STYLES[verdict.severity], 0, len(title))
        parts = [verdict.sentence]
        if verdict.cause:
            parts.append(f"Cause: {verdict.cause}")
        if verdict.remedy and verdict.severity != "well":
            parts.append(f"What to do: {verdict.remedy}")
        if verdict.tried:
            parts.append(f"Measured again: {verdict.tried}")
        texts = [Text(_wrapped(part, console.width, "  ")) for part in parts]
        for text in (Text(), head, *texts):
            console.print(text, soft_wrap=True)


def _wrapped(text: str, width: int, indent: str = "") -> str:
    """Return the lines of a text. Rich would fill them with spaces, also in a file."""
    return textwrap.fill(
        line(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _counted(counts: Counter[str]) -> str:
    """Return the result in a line.

    Example:
        >>> _counted(Counter(fault=2, note=1)), _counted(Counter(well=3))
        ('2 faults, 1 note.', 'No faults.')
    """
    parts = [
        f"{counts[name]} {name}{'' if counts[name] == 1 else 's'}"
        for name in ("fault", "warning", "note")
        if counts[name]
    ]
    if not counts["fault"]:
        parts.insert(0, "No faults")
    return f"{', '.join(parts)}."
