"""The commands: each takes its arguments and returns an exit code."""

import datetime
from pathlib import Path

from jaxnets.cli.arguments import Bench, Contrast, Report, UsageError
from jaxnets.runs.catalogue import STUDIES, TRAINING_STUDIES


# The exit code that a shell reports for a program that Ctrl-C ended.
INTERRUPTED = 130
# Padding of a sentence: top, right, bottom, left.
INDENT = (0, 0, 0, 2)


def run_contrast(command: Contrast, line: str) -> int:
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
    summary = studies.RunFolder(folder).summary()
    _print_claims(summary["claims"])
    if result.interrupted:
        print(f"\nInterrupted. Finish with: jaxnets contrast --resume {folder}")
        print(f"Report so far: {page}")
        return INTERRUPTED
    print(f"\nReport: {page}")
    return 0


def _folder_of(command: Contrast) -> tuple[Path, bool]:
    """Check the arguments; return the folder of the run and whether to resume it."""
    if command.seeds < 1:
        raise UsageError(f"--seeds is {command.seeds}; wanted at least 1.")
    if command.resume is not None:
        if command.out is not None:
            raise UsageError("--resume and --out both name a folder; give one of them.")
        return command.resume, True
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
    return command.out or Path("runs") / now, False


def _config(command: Contrast, studies):
    """Return the configuration of the run that the arguments ask for."""
    chosen = TRAINING_STUDIES if "all" in command.studies else command.studies
    return studies.ContrastConfig(
        studies=tuple(dict.fromkeys(chosen)),
        scale=command.scale,
        seeds=tuple(range(command.seeds)),
        dataset=command.dataset or studies.default_dataset(command.scale),
    )


def _print_verdicts(verdicts) -> None:
    """Print for each study the contrasts, then each family before training."""
    from rich.console import Console
    from rich.padding import Padding

    console = Console(highlight=False, soft_wrap=False)
    chosen = [v for v in verdicts if v.kind == "contrast" or "update" not in v.where]
    chosen += [v for v in verdicts if v.kind in ("overfitting", "solved", "unsolved")]
    for study in STUDIES:
        of_study = [verdict for verdict in chosen if verdict.study == study]
        if of_study:
            console.print(f"\n[bold]{study}[/]")
        for verdict in sorted(of_study, key=lambda v: v.kind != "contrast"):
            sentence = f"[bold]{verdict.where}:[/] {verdict.sentence}"
            console.print(Padding(sentence, INDENT))
    others = len(verdicts) - len(chosen)
    if others:
        console.print(f"\n{others} more verdicts, after training, are in the report.")


def _print_claims(claims) -> None:
    """Print each claim of the study `theory`, and whether it holds."""
    from rich.console import Console
    from rich.padding import Padding

    console = Console(highlight=False, soft_wrap=False)
    for claim in claims:
        console.print(f"\n[bold]{claim['number']}. {claim['statement']}[/]")
        console.print(Padding(claim["sentence"], INDENT))


def draw_report(command: Report) -> int:
    """Draw the report of a run again, or write its charts as files."""
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


def examine() -> int:
    """Print the environment and the result of a check of each part."""
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


def run_bench(command: Bench) -> int:
    """Time this library beside its peers."""
    from jaxnets.bench.runs import run

    try:
        run(command)
    except KeyboardInterrupt:
        return INTERRUPTED
    except ValueError as error:
        raise UsageError(str(error)) from error
    return 0
