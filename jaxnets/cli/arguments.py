"""What the commands can be asked for, as tyro reads it from the command line."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxnets.bench.options import Options


Study = Literal["all", "depth", "time", "saturation", "overfitting", "theory"]
# Those that train, which `all` stands for.
STUDIES = ("depth", "time", "saturation", "overfitting")


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

    theory: nine claims of the literature, measured without training.

    Without arguments the first four run at laptop scale.
    """

    studies: Annotated[
        tuple[Study, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="STUDY",
            help="Any of " + ", ".join(("all", *STUDIES, "theory")) + "; all is the "
            "first four.",
        ),
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
            help="Images for depth, saturation and overfitting. By default "
            "scikit-learn's digits; at accelerator scale CIFAR-10 where its files are "
            "in the data folder.",
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
class Bench(Options):
    """Time this library beside Flax and PyTorch, in turn, and print the ratios.

    Every function is compiled first; then ours and its peers run in turn, round by
    round. A ratio is a peer's time over ours in the same round: above 1 we are faster.

    ops: convolutions and pools, forward and with all gradients.

    recurrent: RNN, GRU and LSTM over time, forward and with all gradients.

    training: one training step of ResNet-20.

    gradflow: training steps with gradient flow measured, beside the same without.

    benchmarks/README.md explains the columns.
    """

    suite: Annotated[
        Literal["ops", "recurrent", "training", "gradflow"], tyro.conf.Positional
    ] = "ops"


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Show versions and devices, and try the library out on them."""
