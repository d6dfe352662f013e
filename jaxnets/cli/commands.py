"""The commands: each takes its arguments and returns an exit code."""

import datetime
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from jaxnets.cli.arguments import Bench, Contrast, Report, UsageError
from jaxnets.cli.signals import Signals
from jaxnets.cli.streams import Stream, line
from jaxnets.runs.catalogue import DEFAULT_STUDIES, STUDIES
from jaxnets.runs.folder import CONFIG, RECORDS, SUMMARY, ContrastConfig, RunFolder


# What a run has if the user names nothing else.
SCALE, SEEDS = "laptop", 3
# Padding of a sentence: top, right, bottom, left.
INDENT = (0, 0, 0, 2)


def run_contrast(command: Contrast, words: Sequence[str], signals: Signals) -> int:
    """Run or resume the studies, write the report and then print the verdicts."""
    folder, resumed = _folder_of(command)
    studies = _studies()
    from rich.console import Console

    from jaxnets.report import write_report

    console = Console(stderr=True)
    signals.say = lambda text: console.print(text, highlight=False)
    try:
        config = resumed or _config(command, studies)
        with signals.saving():
            result = studies.contrast(
                config,
                folder,
                resume=resumed is not None,
                command=line(shlex.join(["jaxnets", *words])),
                console=console,
            )
        page = write_report(folder)
        summary = RunFolder(folder).summary()
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    _print_verdicts(result.verdicts)
    _print_claims(summary.get("claims", []))
    if result.interrupted:
        print(f"\nInterrupted. Finish with: jaxnets contrast --resume {quoted(folder)}")
        print(f"Report so far: {shown(page)}")
        return signals.exit_code
    print(f"\nReport: {shown(page)}")
    return 0


def new_folder() -> Path:
    """Return the folder of a run for which the user named none."""
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
    return Path("runs") / now


def _folder_of(command: Contrast) -> tuple[Path, ContrastConfig | None]:
    """Return the folder of the run, and its configuration if it is to be resumed."""
    try:
        if command.resume is None:
            folder = command.out or new_folder()
            RunFolder(folder).check_free()
            return folder, None
        config = RunFolder(command.resume).config()
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    _check_same(command, config)
    return command.resume, config


def _check_same(command: Contrast, config: ContrastConfig) -> None:
    """Raise a UsageError if arguments differ from those that the run began with."""
    given = {
        "studies": chosen_studies(command) if command.studies else None,
        "scale": command.scale,
        "seeds": command.seeds,
        "dataset": command.dataset,
    }
    began = {
        "studies": tuple(name for name in STUDIES if name in config.studies),
        "scale": config.scale,
        "seeds": len(config.seeds),
        "dataset": config.dataset,
    }
    write = lambda value: ", ".join(value) if isinstance(value, tuple) else value
    differences = [
        f"{name} {write(began[name])}, not {write(value)}"
        for name, value in given.items()
        if value not in (None, began[name])
    ]
    if differences:
        raise UsageError(
            f"The run in {command.resume} began with {'; '.join(differences)}. It can "
            "only be finished with its own arguments: leave these out, or begin a new "
            "run without --resume."
        )


def chosen_studies(command: Contrast) -> tuple[str, ...]:
    """Return the studies to run, in the order of the catalogue."""
    named = set(command.studies or ["all"])
    if "all" in named:
        named |= set(DEFAULT_STUDIES)
    return tuple(name for name in STUDIES if name in named)


def _config(command: Contrast, studies: ModuleType) -> ContrastConfig:
    """Return the configuration of the run that the arguments ask for."""
    scale = command.scale or SCALE
    return ContrastConfig(
        studies=chosen_studies(command),
        scale=scale,
        seeds=tuple(range(command.seeds or SEEDS)),
        dataset=command.dataset or studies.default_dataset(scale),
    )


def _studies() -> ModuleType:
    """Import what computes, after checking that it can."""
    check_devices()
    from jaxnets import studies

    return studies


def check_devices() -> None:
    """Raise a UsageError if JAX has no device to compute on."""
    from jaxnets.training.machine import devices

    try:
        devices()
    except ValueError as error:
        raise UsageError(str(error)) from error


def _print_verdicts(verdicts) -> None:
    """Print for each study the contrasts, then each family before training."""
    chosen = [v for v in verdicts if v.kind == "contrast" or "update" not in v.where]
    chosen += [v for v in verdicts if v.kind in ("overfitting", "solved", "unsolved")]
    for study in STUDIES:
        of_study = [verdict for verdict in chosen if verdict.study == study]
        if of_study:
            print()
            _print_bold(study)
        for verdict in sorted(of_study, key=lambda v: v.kind != "contrast"):
            _print_indented(verdict.sentence, f"{verdict.where}: ")
    others = len(verdicts) - len(chosen)
    if others:
        print(f"\n{others} more verdicts, after training, are in the report.")


def _print_claims(claims) -> None:
    """Print each claim of the study `theory`, and whether it holds."""
    for claim in claims:
        print()
        _print_bold(f"{claim['number']}. {claim['statement']}")
        _print_indented(claim["sentence"])


def _print_bold(text: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(highlight=False).print(Text(line(text), "bold"))


def _print_indented(sentence: str, title: str = "") -> None:
    """Print a sentence, after a title in bold."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    # Rich must not parse this as markup, because records may hold square brackets.
    text = Text.assemble((line(title), "bold"), line(sentence))
    Console(highlight=False).print(Padding(text, INDENT))


def shown(path: Path) -> str:
    """Return a path as it is for programs, and in printable characters for people."""
    return line(path) if sys.stdout.isatty() else str(path)


def quoted(path: str | Path) -> str:
    """Return a path as a word of a command, which can be copied from a terminal."""
    if line(path) == str(path):
        return shlex.quote(str(path))
    codes = (f"\\x{byte:02x}" for byte in os.fsencode(path))
    return f"$'{''.join(codes)}'"


def draw_report(command: Report) -> int:
    """Draw the report of a run again, or write its charts as files."""
    if not any((command.run / name).is_file() for name in (CONFIG, RECORDS, SUMMARY)):
        raise UsageError(
            f"{command.run} holds no run: it has no {CONFIG}, {RECORDS} or {SUMMARY}. "
            "Give the folder that `jaxnets contrast`, `train` or `check` printed."
        )
    from jaxnets.report import export_charts, write_report

    try:
        if command.format == "html":
            print(shown(write_report(command.run)))
        else:
            for path in export_charts(command.run, command.format):
                print(shown(path))
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    return 0


def examine() -> int:
    """Print the environment and the result of a check of each part."""
    studies = _studies()
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from jaxnets.training.allocator import allocator_row, probe_allocator

    console = Console(highlight=False)
    table = Table(title="jaxnets doctor", show_header=False)
    for name, value in studies.environment().items():
        table.add_row(name, Text(line(value)))
    if memory := probe_allocator():
        table.add_row("allocator", Text(allocator_row(memory)))
    console.print(table)
    checks = studies.self_checks()
    for name, problem in checks.items():
        console.print(f"{'[red]failed[/]' if problem else '[green]ok[/]    '}  {name}")
        if problem:
            console.print(Text(f"        {line(problem)}"))
    return 1 if any(checks.values()) else 0


def run_bench(command: Bench, signals: Signals, output: Stream) -> int:
    """Time this library beside its peers."""
    from jaxnets.bench.runs import run

    output.needed = command.json is None and command.markdown is None
    try:
        with signals.saving():
            run(command)
    except (OSError, ValueError) as error:
        if error is not output.failure:
            raise UsageError(str(error)) from error
    return 0
