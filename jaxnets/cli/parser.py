"""Parses the words of a command line into a command with its arguments."""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any

from jaxnets._version import __version__
from jaxnets.bench.options import CHIP_NAMES, DTYPES, SUITES, Options
from jaxnets.cli.arguments import (
    FORMATS,
    Bench,
    Check,
    Contrast,
    Doctor,
    Report,
    Sample,
    Train,
    UsageError,
)
from jaxnets.cli.check import parse_check
from jaxnets.cli.command_parser import CommandParser, as_path
from jaxnets.cli.sample import parse_sample
from jaxnets.cli.train_arguments import parse_train
from jaxnets.runs.catalogue import DATASETS, DEFAULT_STUDIES, SCALES, STUDIES


Command = Contrast | Check | Train | Sample | Report | Bench | Doctor
# Each command in a line, as `jaxnets --help` lists them.
COMMANDS = {
    "contrast": "Contrast networks by how gradients flow in them.",
    "check": "Say why your own model does not train, in words and as a page.",
    "train": "Train a task, or continue a run that was stopped.",
    "sample": "Print samples of a network that was trained on a task.",
    "report": "Draw the report of a run again, or write its charts as files.",
    "bench": "Time this library beside Flax and PyTorch.",
    "doctor": "Show versions and devices, and check that the library works.",
}
SUITE_HELP = {
    "ops": "convolutions and pools, forward and with all gradients.",
    "recurrent": "recurrent cells over time, forward and with all gradients.",
    "training": "training steps and epochs of ResNet-20 and of an LSTM.",
    "gradflow": "training steps that measure gradient flow, beside the same without "
    "it.",
    "stack": "stacks of blocks: the loop, the time to compile, and each checkpoint.",
}


def parse(words: Sequence[str]) -> Command:
    """Return the command of `words`, the command line without `jaxnets`.

    Raises:
        UsageError: If an argument is unknown, missing or wrong.
        SystemExit: After `--help` or `--version` is printed.
    """
    top = CommandParser(
        "jaxnets",
        "See how gradients flow through networks. Start with `jaxnets contrast`.",
        {"commands": COMMANDS},
        "`jaxnets COMMAND --help` explains a command.",
        usage="jaxnets [-h] [--version] COMMAND ...",
    )
    top.add_argument("--version", action="version", version=f"jaxnets {__version__}")
    top.add_argument("command", nargs="?", choices=COMMANDS, help=argparse.SUPPRESS)
    name = top.parse(words[:1]).command
    if name is None:
        top.error(f"a command is missing; wanted one of {', '.join(COMMANDS)}")
    parsers = {
        "contrast": _contrast,
        "check": parse_check,
        "train": parse_train,
        "sample": parse_sample,
        "report": _report,
        "bench": _bench,
        "doctor": _doctor,
    }
    return parsers[name](words[1:])


def _contrast(words: Sequence[str]) -> Contrast:
    images = ", ".join(name for name, study in STUDIES.items() if study.images)
    parser = CommandParser(
        "jaxnets contrast",
        "Contrast networks by how gradients flow in them, and write a report. Each "
        "study has several arms, which are kinds of networks. Every arm is trained "
        "with several seeds, and the gradient is measured at each layer or time step.",
        {
            "studies": {study.name: study.arms for study in STUDIES.values()}
            | {
                "all": f"{', '.join(DEFAULT_STUDIES)}, which run by default. The "
                "others run by name only."
            }
        },
    )
    parser.add_argument(
        "studies",
        nargs="*",
        type=_one_of(["all", *STUDIES]),
        metavar="STUDY",
        help="One or more of the studies below.",
    )
    parser.add_argument(
        "--scale",
        choices=SCALES,
        metavar="SCALE",
        help="Size of the run: smoke only checks that everything runs, laptop (the "
        "default) takes minutes on a CPU, hour is sized for an hour a study on two "
        "cores, accelerator goes to depth 1,202 and needs a GPU or TPU.",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="Number of networks in each arm, 3 by default; the report shows 95 %% "
        "confidence intervals over them.",
    )
    parser.add_argument(
        "--dataset",
        choices=DATASETS,
        help=f"Images for {images}; by default scikit-learn's digits, or CIFAR-10 at "
        "accelerator scale if its files are in the data folder.",
    )
    parser.add_argument(
        "--out",
        type=as_path,
        metavar="FOLDER",
        help="Folder of the run; by default runs/ followed by the date and time.",
    )
    parser.add_argument(
        "--resume",
        type=as_path,
        metavar="FOLDER",
        help="Finish the interrupted run in this folder with its own arguments; arms "
        "that have ended are not repeated.",
    )
    found = vars(parser.parse(words))
    return Contrast(studies=tuple(found.pop("studies")), **found)


def _report(words: Sequence[str]) -> Report:
    parser = CommandParser("jaxnets report", COMMANDS["report"])
    parser.add_argument(
        "run", type=as_path, metavar="FOLDER", help="Folder of the run."
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="html",
        help="html (the default) writes report.html; png and svg write every chart "
        "into charts/.",
    )
    return Report(**vars(parser.parse(words)))


def _bench(words: Sequence[str]) -> Bench:
    parser = CommandParser(
        "jaxnets bench",
        "Time this library beside Flax and PyTorch and print the ratios. Every "
        "function is compiled first; then ours and those of the peers run in turn, "
        "round by round. A ratio is the time of a peer divided by ours in the same "
        "round. Above 1, this library is faster.",
        {"suites": SUITE_HELP},
        "benchmarks/README.md explains the columns.",
    )
    explained = _attributes(Options)
    kinds: dict[str, dict[str, Any]] = {
        "suite": {"nargs": "?", "choices": SUITES, "metavar": "SUITE"},
        "rows": {"metavar": "TEXT"},
        "rounds": {"type": int, "metavar": "N"},
        "quick": {"action": "store_true"},
        "peers": {"metavar": "NAMES"},
        "batch": {"type": int, "metavar": "N"},
        "dtype": {"choices": DTYPES},
        "torch_python": {"type": as_path, "metavar": "FILE"},
        "json": {"type": as_path, "metavar": "FILE"},
        "markdown": {"type": as_path, "metavar": "FILE"},
        "list": {"action": "store_true"},
        "compile_for": {"choices": CHIP_NAMES},
    }
    for name, kind in kinds.items():
        default = getattr(Options, name)
        flag = name if name == "suite" else f"--{name.replace('_', '-')}"
        parser.add_argument(flag, default=default, help=explained.get(name), **kind)
    try:
        return Bench(**vars(parser.parse(words)))
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error


def _doctor(words: Sequence[str]) -> Doctor:
    CommandParser("jaxnets doctor", COMMANDS["doctor"]).parse(words)
    return Doctor()


def _attributes(cls: type) -> dict[str, str]:
    """Return what the docstring of a class says about each of its attributes."""
    section = (cls.__doc__ or "").partition("Attributes:")[2].partition("\n\n")[0]
    pairs = (text.partition(": ") for text in re.split(r"\n {8}(?=\w)", section))
    return {name: " ".join(text.split()) for name, _, text in pairs}


def _one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Return a parser of one word of `names`.

    The `choices` of argparse do not work for an argument that may have no words.
    """

    def parsed(word: str) -> str:
        if word not in names:
            wanted = ", ".join(names)
            raise argparse.ArgumentTypeError(f"{word!r} is none of {wanted}")
        return word

    return parsed
