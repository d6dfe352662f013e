"""`jaxnets sample`: what the network of a run makes."""

import sys
from collections.abc import Sequence
from typing import Any

from jaxnets.cli.arguments import Sample, UsageError
from jaxnets.cli.command_parser import CommandParser, as_path
from jaxnets.cli.commands import check_devices
from jaxnets.runs.catalogue import SAMPLES
from jaxnets.runs.files import printable


OPTIONS: dict[str, tuple[Any, str, str]] = {
    "count": (int, "N", "Number of samples; 1 by default."),
    "length": (
        int,
        "N",
        "Length of a sample in characters, or in points of a drawing; 500 by default.",
    ),
    "temperature": (
        float,
        "T",
        "0 always takes the likeliest character, 1 draws with the probabilities of the "
        "network, and more makes rare characters more frequent; 0.8 by default.",
    ),
    "top-k": (int, "K", "Draw from the K likeliest characters only."),
    "top-p": (
        float,
        "P",
        "Draw from the fewest characters whose probabilities sum to P or more.",
    ),
    "prompt": (
        str,
        "TEXT",
        "Text with which a sample begins, or the input of the network, such as a "
        "sentence to translate; by default the task chooses it.",
    ),
    "seed": (int, "K", "Seed of the random numbers; 0 by default."),
    "out": (as_path, "FOLDER", "Folder for the files of music and sketch."),
}


def parse_sample(words: Sequence[str]) -> Sample:
    """Return the command of `words`, the command line without `jaxnets sample`."""
    parser = CommandParser(
        "jaxnets sample",
        "Print what a network makes that `jaxnets train` has trained: texts, tunes, "
        "drawings, or an answer to --prompt. The newest intact checkpoint is used; the "
        "run may still be going on.",
        {"what is printed for a run of each task; others have no samples": SAMPLES},
    )
    parser.add_argument(
        "run", type=as_path, metavar="FOLDER", help="Folder of the run."
    )
    for name, (kind, metavar, text) in OPTIONS.items():
        parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=text)
    found = vars(parser.parse(words))
    run = found.pop("run")
    return Sample(run, {name: v for name, v in found.items() if v is not None})


def run_sample(command: Sample) -> int:
    """Print the samples; return 0."""
    check_devices()
    from jaxnets.tasks import SampleOptions, sample_run

    tell = lambda text: print(printable(text), file=sys.stderr)
    try:
        options = SampleOptions(**command.options)  # pyright: ignore[reportArgumentType]
        texts = sample_run(command.run, options, say=tell)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    for number, text in enumerate(texts, 1):
        if len(texts) > 1:
            print(f"--- {number} of {len(texts)} ---")
        # The network may write what steers a terminal, if its text had that.
        print(printable(text) if sys.stdout.isatty() else text)
    return 0
