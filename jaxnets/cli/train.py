"""`jaxnets train`: a task to a trained network, which can be stopped and resumed."""

import dataclasses
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from jaxnets.cli.arguments import Train, UsageError, complaint
from jaxnets.cli.commands import check_devices, new_folder, quoted, shown
from jaxnets.cli.display import Display
from jaxnets.cli.signals import Signals
from jaxnets.runs.folder import RunFolder


if TYPE_CHECKING:
    from jaxnets.tasks import TrainConfig


# The recipe is printed in lines of at most this length.
COLUMNS = 80


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
        print(complaint(error, vars(command)), file=sys.stderr)
    if code in (1, 2):
        # JAX would wait for the other processes, which this one has left.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(command: Train, signals: Signals) -> int:
    check_devices()
    from jaxnets.gradflow.monitoring.tensorboard import writer_class
    from jaxnets.report import write_report
    from jaxnets.tasks import run_task
    from jaxnets.tasks.run import check_config
    from jaxnets.training import NonFiniteBatch
    from jaxnets.training.trainer.processes import is_first

    shows = is_first()
    try:
        if command.tensorboard:
            writer_class()
        folder, config = _asked(command)
        check_config(config)
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
        page = write_report(folder) if shows else None
    except NonFiniteBatch as error:
        print(f"jaxnets: {error}", file=sys.stderr)
        return 1
    except (ImportError, OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    if page is not None:
        _print_end(trained, config.recipe.steps, folder, page, display.updated)
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


def _print_end(trained, steps: int, folder: Path, page: Path, updated: bool) -> None:
    for name, value in trained.metrics.items():
        print(f"{name.replace('_', ' ')}: {value:.4g}")
    if any(name.startswith("floor") for name in trained.metrics):
        print("(floor: what a simple baseline reaches)")
    if trained.skipped:
        print(f"batches that were not finite and were skipped: {trained.skipped}")
    if trained.stopped:
        print(
            f"\nStopped after {trained.step} of {steps} updates. Continue with: "
            f"jaxnets train --resume {quoted(folder)}"
        )
    elif not updated:
        made = f"all of its {steps}" if trained.step == steps else f"{trained.step}"
        print(
            f"\nThe run in {shown(folder)} had ended after {made} updates, so nothing "
            "was trained and the report was drawn again."
        )
    else:
        print(f"\nRun: {shown(folder)}")
    print(f"Report: {shown(page)}")


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
    # A name and its value stay in one line.
    text = ", ".join(f"{name}\xa0{value}" for name, value in values.items())
    print(textwrap.fill(text, COLUMNS).replace("\xa0", " "))
