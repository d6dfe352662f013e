"""The arguments of each command, which tyro reads from the command line."""

import dataclasses
import inspect
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxnets.bench.options import Options, Suite
from jaxnets.runs.catalogue import STUDIES, StudyName


class UsageError(Exception):
    """The arguments are wrong; the text tells the user why."""


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Contrast networks by how gradients flow in them, and write a report.

    Trains every arm of the chosen studies with several seeds, measures the gradient at
    each layer or time step, and ends with report.html and its verdicts.
    """

    studies: Annotated[
        tuple[Literal["all", StudyName], ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="STUDY",
            help=f"One or more of {', '.join(STUDIES)}; all means those that train.",
        ),
    ] = ("all",)
    scale: Annotated[
        Literal["smoke", "laptop", "accelerator"],
        tyro.conf.arg(
            help="Size of the run: smoke only tries everything out, laptop takes "
            "minutes on a CPU, accelerator goes to depth 110 and 1,000 time steps and "
            "needs a GPU or TPU."
        ),
    ] = "laptop"
    seeds: Annotated[
        int,
        tyro.conf.arg(
            help="Number of networks in each arm; figures have an interval over them."
        ),
    ] = 3
    dataset: Annotated[
        Literal["digits", "mnist", "cifar10"] | None,
        tyro.conf.arg(
            metavar="{digits,mnist,cifar10}",
            help=f"Images for {', '.join(n for n, s in STUDIES.items() if s.images)}. "
            "The default is scikit-learn's digits, or CIFAR-10 at accelerator scale if "
            "its files are in the data folder.",
        ),
    ] = None
    out: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="FOLDER",
            help="Folder of the run; the default is runs/ followed by the date and "
            "time.",
        ),
    ] = None
    resume: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="FOLDER",
            help="Finish the interrupted run in this folder with its own arguments. "
            "Arms that have ended are not repeated.",
        ),
    ] = None


# The rest of the help comes from the catalogue.
Contrast.__doc__ = "\n\n".join(
    [
        inspect.cleandoc(Contrast.__doc__ or ""),
        *(f"{study.name}: {study.arms}" for study in STUDIES.values()),
        "Without arguments, the studies that train run at laptop scale.",
    ]
)


@dataclasses.dataclass(frozen=True)
class Report:
    """Draw the report of a run again, or write its charts as files."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""

    format: Literal["html", "png", "svg"] = "html"
    """html writes report.html; png and svg write every chart into charts/."""


@dataclasses.dataclass(frozen=True)
class Bench(Options):
    """Time this library beside Flax and PyTorch and print the ratios.

    Every function is compiled first; then ours and its peers run in turn, round by
    round. A ratio is a peer's time over ours in the same round: above 1 we are faster.

    ops: convolutions and pools, forward and with all gradients.

    recurrent: recurrent cells over time, forward and with all gradients.

    training: one training step of ResNet-20.

    gradflow: training steps that measure gradient flow, beside the same without it.

    benchmarks/README.md explains the columns.
    """

    suite: Annotated[Suite, tyro.conf.Positional] = "ops"


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Show versions and devices, and check that the library works on them."""
