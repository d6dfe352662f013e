"""The arguments of `jaxnets train`."""

import argparse
from collections.abc import Sequence

from jaxnets.cli.arguments import Train
from jaxnets.cli.command_parser import CommandParser, as_path
from jaxnets.runs.catalogue import TASKS


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

DATA = (
    "Your own data: a text file for characters, the folder of CIFAR-10 for images, a "
    "file of sequences such as UCI's splice.data for dna, a folder of tunes in ABC "
    "notation for music, an archive of pen strokes for sketch, a file of rated "
    "sentences for sentiment, a folder or zip archive of wav files for speech, the "
    "folder of Multi30k for translation. By default the data are a part of the "
    "installation or generated."
)


def parse_train(words: Sequence[str]) -> Train:
    """Return the command of `words`, the command line without `jaxnets train`."""
    parser = CommandParser(
        "jaxnets train",
        "Train a network on a task. The run can be stopped or killed at any time: "
        "--resume continues it, and it ends with the same weights to the last bit.",
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
        help=DATA,
    )
    for name, text in NUMBERS.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=text)
    parser.set_defaults(skip_nonfinite=0)
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
        help="Change a value of the recipe, which the run prints first; can be given "
        "several times, as in --set learning_rate=0.01.",
    )
    parser.add_argument(
        "--out",
        type=as_path,
        metavar="FOLDER",
        help="Folder of the run; by default runs/ followed by the date and time.",
    )
    parser.add_argument(
        "--resume", type=as_path, metavar="FOLDER", help="Continue the run in FOLDER."
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="Train in several processes, which are started with the same arguments; "
        "this is the address at which the first listens. With auto, or without the two "
        "options below, JAX finds what is missing under Slurm, Open MPI and Kubernetes "
        "and on Cloud TPUs.",
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
