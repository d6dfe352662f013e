"""`jaxnets train`: a task to a trained network, which can be stopped and resumed."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxnets.cli.arguments import Train, UsageError
from jaxnets.cli.command_parser import CommandParser, as_path
from jaxnets.cli.commands import check_devices, new_folder, quoted, shown
from jaxnets.cli.display import Display
from jaxnets.cli.signals import Signals
from jaxnets.cli.streams import line
from jaxnets.runs.catalogue import TASKS
from jaxnets.runs.folder import RunFolder


if TYPE_CHECKING:
    from jaxnets.tasks import TrainConfig

NUMBERS = {
    "steps": "Number of updates.",
    "seed": "Seed of the network and of the order of the data; 0 by default.",
    "checkpoint-every": "Number of updates between two checkpoints.",
    "devices": "Number of devices that share each batch; 1 by default, and with "
    "--coordinator all devices of all processes.",
    "shards": "Number of these devices that each parameter is divided over; 1 by "
    "default, which keeps a copy on each.",
    "skip-nonfinite": "Number of batches whose loss may be infinite or not a number; "
    "they are skipped and counted. By default the first one ends the run.",
}
PROCESSES = {
    "process-count": "Number of processes.",
    "process-index": "Index of this process, from 0.",
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
        "--tensorboard",
        action="store_true",
        help="Write the metrics to TensorBoard's files too, in the folder tensorboard "
        "of the run; needs the package tensorboardX.",
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
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="Train in several processes, which are started with the same arguments; "
        "this is the address at which the first listens. auto, or this alone, lets JAX "
        "find the rest below Slurm, Open MPI, Kubernetes and on Cloud TPUs.",
    )
    for name, text in PROCESSES.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=text)
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
    if command.coordinator is None:
        return _run(command, signals)
    from jaxnets.training.trainer.processes import join

    where = None if command.coordinator == "auto" else command.coordinator
    try:
        join(where, command.process_count, command.process_index)
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"The processes did not find each other: {error}. Give --coordinator "
            "HOST:PORT, --process-count and --process-index."
        ) from error
    code = 2
    try:
        code = _run(command, signals)
    except UsageError as error:
        print(f"jaxnets: {line(error)}", file=sys.stderr)
    if code in (1, 2):
        # JAX would wait for the other processes, which this one has left.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(command: Train, signals: Signals) -> int:
    check_devices()
    from jaxnets.gradflow.monitoring.tensorboard import writer_class
    from jaxnets.tasks import run_task
    from jaxnets.training import NonFiniteBatch
    from jaxnets.training.trainer.processes import is_first

    shows = is_first()
    try:
        if command.tensorboard:
            writer_class()
        folder, config = _asked(command)
        if shows:
            _print_recipe(config.recipe)
        with Display(config.recipe.steps, shows) as display, signals.finishing():
            signals.say = display.say
            trained = run_task(
                config,
                folder,
                asked_to_stop=lambda: signals.received,
                on_call=display.show,
                skip_nonfinite=command.skip_nonfinite,
                tensorboard=command.tensorboard,
                say=display.say,
            )
    except NonFiniteBatch as error:
        print(f"jaxnets: {error}", file=sys.stderr)
        return 1
    except (ImportError, OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    if shows:
        _print_end(trained, config.recipe.steps, folder)
    return signals.exit_code if trained.stopped else 0


def _asked(command: Train) -> tuple[Path, "TrainConfig"]:
    """Return the folder and the configuration of the run that is asked for."""
    from jaxnets.tasks import TrainConfig, task_of
    from jaxnets.training.machine import devices
    from jaxnets.training.trainer.processes import is_first

    count = None if command.coordinator is None else len(devices())
    asked = {"devices": command.devices or count, "shards": command.shards}
    asked = {name: value for name, value in asked.items() if value is not None}
    if command.resume is not None:
        config = TrainConfig.read(command.resume)
        return command.resume, dataclasses.replace(config, **asked)
    folder = command.out or new_folder()
    if is_first():
        RunFolder(folder).check_free()
    recipe = _recipe(command, task_of(str(command.task)).recipe)
    data = None if command.data is None else str(command.data.absolute())
    config = TrainConfig(str(command.task), recipe, data)
    return folder, dataclasses.replace(config, **asked)


def _print_end(trained, steps: int, folder: Path) -> None:
    for name, value in trained.metrics.items():
        print(f"{name.replace('_', ' ')}: {value:.4g}")
    if trained.skipped:
        print(f"batches that were not finite and were skipped: {trained.skipped}")
    if trained.stopped:
        print(f"\nStopped after {trained.step} of {steps} updates. Go on ")
        print(f"with: jaxnets train --resume {quoted(folder)}")
    else:
        print(f"\nRun: {shown(folder)}")


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
