"""`jaxnets train`: a task to a trained network, which can be stopped and resumed."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence

from jaxnets.cli.arguments import Train, UsageError
from jaxnets.cli.command_parser import CommandParser, as_path
from jaxnets.cli.commands import check_devices, new_folder, quoted, shown
from jaxnets.cli.signals import Signals
from jaxnets.runs.catalogue import TASKS
from jaxnets.runs.folder import RunFolder


NUMBERS = {
    "steps": "Number of updates.",
    "seed": "Seed of the network and of the order of the data; 0 by default.",
    "checkpoint-every": "Number of updates between two checkpoints.",
    "devices": "Number of devices that share each batch; 1 by default.",
    "skip-nonfinite": "Number of batches whose loss may be infinite or not a number; "
    "they are skipped and counted. By default the first one ends the run.",
}


def parse_train(words: Sequence[str]) -> Train:
    """Return the command of `words`, the command line without `jaxnets train`."""
    parser = CommandParser(
        "jaxnets train",
        "Train a network on a task. The run can be stopped or killed at any time: "
        "--resume goes on, and ends with the same weights to the last bit.",
        {"tasks": {name: f"{title}." for name, title in TASKS.items()}},
        "The run's folder holds config.json, metrics.jsonl, records.csv, checkpoints/ "
        "and summary.json; `jaxnets report FOLDER` draws it.",
    )
    # The `choices` of argparse do not work for an argument that may have no words.
    parser.add_argument(
        "task", nargs="?", type=_task, metavar="TASK", help="One of the tasks below."
    )
    parser.add_argument(
        "--data",
        type=as_path,
        metavar="PATH",
        help="Your own data: a text file for characters, the folder of CIFAR-10 for "
        "images, a file of sequences such as UCI's splice.data for dna. By default "
        "data that every installation has.",
    )
    for name, text in NUMBERS.items():
        default = 0 if name == "skip-nonfinite" else None
        parser.add_argument(
            f"--{name}", type=int, metavar="N", help=text, default=default
        )
    parser.add_argument(
        "--set",
        action="append",
        dest="settings",
        type=_setting,
        default=[],
        metavar="NAME=VALUE",
        help="Another value of the recipe, which the run prints first; may be given "
        "several times, as in --set learning_rate=0.01.",
    )
    parser.add_argument(
        "--out",
        type=as_path,
        metavar="FOLDER",
        help="Folder of the run; by default runs/ followed by the date and time.",
    )
    parser.add_argument(
        "--resume", type=as_path, metavar="FOLDER", help="Go on with the run in FOLDER."
    )
    found = vars(parser.parse(words))
    return Train(settings=tuple(found.pop("settings")), **found)


def _task(word: str) -> str:
    if word not in TASKS:
        raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(TASKS)}")
    return word


def _setting(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{word!r} is not of the form NAME=VALUE")
    return name, value


def run_train(command: Train, signals: Signals) -> int:
    """Train; return 0, or the code of the signal that stopped the run."""
    check_devices()
    from jaxnets.tasks import TrainConfig, run_task, task_of
    from jaxnets.training import NonFiniteBatch

    try:
        if command.resume is not None:
            folder, config = command.resume, TrainConfig.read(command.resume)
        else:
            folder = command.out or new_folder()
            RunFolder(folder).check_free()
            recipe = _recipe(command, task_of(str(command.task)).recipe)
            data = None if command.data is None else str(command.data.absolute())
            devices = 1 if command.devices is None else command.devices
            config = TrainConfig(str(command.task), recipe, data, devices)
        _print_recipe(config.recipe)
        with _Display(config.recipe.steps) as display, signals.finishing():
            signals.say = display.say
            trained = run_task(
                config,
                folder,
                asked_to_stop=lambda: signals.received,
                on_call=display.show,
                skip_nonfinite=command.skip_nonfinite,
                say=display.say,
            )
    except NonFiniteBatch as error:
        print(f"jaxnets: {error}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    for name, value in trained.metrics.items():
        print(f"{name.replace('_', ' ')}: {value:.4g}")
    if trained.skipped:
        print(f"batches that were not finite and were skipped: {trained.skipped}")
    if trained.stopped:
        print(
            f"\nStopped after {trained.step} of {config.recipe.steps} updates. Go on "
        )
        print(f"with: jaxnets train --resume {quoted(folder)}")
        return signals.exit_code
    print(f"\nRun: {shown(folder)}")
    return 0


def _recipe(command: Train, recipe):
    given = {
        "steps": command.steps,
        "seed": command.seed,
        "checkpoint_every": command.checkpoint_every,
    }
    found = {name: value for name, value in given.items() if value is not None}
    recipe = dataclasses.replace(recipe, **found)
    for name, value in command.settings:
        recipe = recipe.override(name, value)
    return recipe


def _print_recipe(recipe) -> None:
    values = dataclasses.asdict(recipe)
    print(", ".join(f"{name} {value}" for name, value in values.items()))


class _Display:
    """Shows how far the training is, on the error stream."""

    def __init__(self, steps: int):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.completed}/{task.total}"),
            BarColumn(bar_width=None),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("compiling", total=steps)

    def __enter__(self) -> "_Display":
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    def show(self, step: int, figures) -> None:
        text = ", ".join(f"{n} {v:.3g}" for n, v in figures.items() if n != "step")
        self._progress.update(self._task, completed=step, description=text)
