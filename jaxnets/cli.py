"""The `jaxnets` command: arguments become a configuration, a run, a report.

Only tyro is imported at the top, so that `--help` answers at once.
"""

import contextlib
import dataclasses
import datetime
import io
import itertools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro


Study = Literal["all", "depth", "time", "saturation", "overfitting"]
STUDIES = ("depth", "time", "saturation", "overfitting")
# What the shell reports for a program that Ctrl-C ended.
INTERRUPTED = 130


class UsageError(Exception):
    """The arguments cannot be carried out; the text is for the user."""


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Contrast networks by how gradients flow in them, and write a report.

    Trains every arm of the chosen studies with several seeds, measures the gradient at
    each layer or time step, and ends with report.html and its verdicts.

    depth: plain and residual networks, with and without BatchNorm, at several depths.

    time: RNN, GRU and LSTM on a task of long memory, at several lengths.

    saturation: sigmoid, tanh and ReLU at several gains.

    overfitting: few examples, with and without dropout.

    Without arguments all four run at laptop scale.
    """

    studies: Annotated[
        tuple[Study, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="STUDY", help="Any of " + ", ".join(("all", *STUDIES))),
    ] = ("all",)
    scale: Annotated[
        Literal["smoke", "laptop", "accelerator"],
        tyro.conf.arg(
            help="How large: smoke tries everything out, laptop is for reading, "
            "accelerator goes to depth 110 and 1,000 time steps and wants a GPU or TPU."
        ),
    ] = "laptop"
    seeds: Annotated[
        int,
        tyro.conf.arg(
            help="How many networks of each arm; figures have an interval over them."
        ),
    ] = 3
    dataset: Annotated[
        Literal["digits", "mnist", "cifar10"] | None,
        tyro.conf.arg(
            metavar="{digits,mnist,cifar10}",
            help="Images for all studies but time. By default scikit-learn's digits; "
            "at accelerator scale CIFAR-10 where its files are in the data folder.",
        ),
    ] = None
    out: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="FOLDER", help="Folder of the run; by default runs/ and the time."
        ),
    ] = None
    resume: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="FOLDER",
            help="Finish the interrupted run in this folder, as it was asked for, "
            "without repeating the arms that ended.",
        ),
    ] = None


@dataclasses.dataclass(frozen=True)
class Report:
    """Draw the report of a run again, or its charts as files."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""

    format: Literal["html", "png", "svg"] = "html"
    """html writes report.html; png and svg write every chart into charts/."""


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Show versions and devices, and try the library out on them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 is success, 2 a mistake in the arguments, 130 a run that Ctrl-C ended.

    Args:
        arguments: Command line without the program's name; None takes the process's.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command = _parsed(arguments)
        if isinstance(command, Contrast):
            return _contrast(command, shlex.join(["jaxnets", *arguments]))
        return _report(command) if isinstance(command, Report) else _doctor()
    except UsageError as error:
        print(f"jaxnets: {error}", file=sys.stderr)
        return 2


def _parsed(arguments: list[str]) -> Contrast | Report | Doctor:
    """Parse the arguments; a mistake becomes one line instead of tyro's box."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.extras.subcommand_cli_from_dict(
                {"contrast": Contrast, "report": Report, "doctor": Doctor},
                prog="jaxnets",
                description="See how gradients flow through networks. Start with "
                "`jaxnets contrast`; `jaxnets contrast --help` explains it.",
                args=arguments,
            )
    except SystemExit as leaving:
        if not leaving.code:
            raise
        lines = [line.strip("│ ").strip() for line in said.getvalue().splitlines()]
        # The first section of the box says what is wrong; rules end it.
        inside = itertools.dropwhile(lambda line: line.startswith("╭"), lines)
        first = itertools.takewhile(lambda line: line[:1] not in ("─", "╰"), inside)
        text = " ".join(filter(None, first)).partition("Argument helptext")[0]
        raise UsageError(f"{text.strip(' .')}. Try --help.") from None


def _contrast(command: Contrast, line: str) -> int:
    """Run or resume the studies, draw the report and print the verdicts."""
    folder, resumed = _folder_of(command)
    from jaxnets import studies

    try:
        config = (
            studies.RunFolder(folder).config() if resumed else _config(command, studies)
        )
        result = studies.contrast(config, folder, resume=resumed, command=line)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    _print_verdicts(result.verdicts)
    from jaxnets.report import write_report

    page = write_report(folder)
    for row in studies.RunFolder(folder).summary()["overhead"]:
        print(
            f"Measuring took {row['ratio']:.2f} times a plain training step "
            f"({row['network']})."
        )
    if result.interrupted:
        print(f"\nInterrupted. Finish with: jaxnets contrast --resume {folder}")
        print(f"Report so far: {page}")
        return INTERRUPTED
    print(f"\nReport: {page}")
    return 0


def _folder_of(command: Contrast) -> tuple[Path, bool]:
    """Return the run's folder and whether it is resumed; check the numbers."""
    if command.seeds < 1:
        raise UsageError(f"--seeds is {command.seeds}; wanted at least 1.")
    if command.resume is not None:
        if command.out is not None:
            raise UsageError("--resume and --out both name a folder; give one of them.")
        return command.resume, True
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
    return command.out or Path("runs") / now, False


def _config(command: Contrast, studies):
    """Turn the arguments into the configuration of a run."""
    chosen = STUDIES if "all" in command.studies else command.studies
    return studies.ContrastConfig(
        studies=tuple(dict.fromkeys(chosen)),
        scale=command.scale,
        seeds=tuple(range(command.seeds)),
        dataset=command.dataset or studies.default_dataset(command.scale),
    )


def _print_verdicts(verdicts) -> None:
    """Print the sentences: contrasts, then each family before training."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    chosen = [v for v in verdicts if v.kind == "contrast" or "update" not in v.where]
    chosen += [v for v in verdicts if v.kind in ("overfitting", "solved", "unsolved")]
    for study in STUDIES:
        of_study = [verdict for verdict in chosen if verdict.study == study]
        if of_study:
            console.print(f"\n[bold]{study}[/]")
        for verdict in sorted(of_study, key=lambda v: v.kind != "contrast"):
            console.print(f"  [bold]{verdict.where}:[/] {verdict.sentence}")
    left = len(verdicts) - len(chosen)
    if left:
        console.print(f"\n{left} more verdicts, after training, are in the report.")


def _report(command: Report) -> int:
    """Draw a run again."""
    from jaxnets.report import export_charts, write_report

    try:
        if command.format == "html":
            print(write_report(command.run))
        else:
            for path in export_charts(command.run, command.format):
                print(path)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    return 0


def _doctor() -> int:
    """Print the environment and a check of each part."""
    from rich.console import Console
    from rich.table import Table

    from jaxnets import studies

    console = Console()
    table = Table(title="jaxnets doctor", show_header=False)
    for name, value in studies.environment().items():
        table.add_row(name, str(value))
    console.print(table)
    checks = studies.self_checks()
    for name, problem in checks.items():
        console.print(f"{'[red]failed[/]' if problem else '[green]ok[/]    '}  {name}")
        if problem:
            console.print(f"        {problem}", highlight=False)
    return 1 if any(checks.values()) else 0
