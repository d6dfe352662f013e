"""Training: a pure step, whole epochs in one call, and all seeds in one program."""

from jaxnets.training.batches import Batches, generated, shuffled
from jaxnets.training.loop import History, NonFiniteLoss, fit
from jaxnets.training.losses import classification, regression
from jaxnets.training.nonfinite import first_nonfinite_layer
from jaxnets.training.program import Program, compile_program, random_key
from jaxnets.training.step import (
    Loss,
    StepReport,
    TrainState,
    Watch,
    make_evaluation,
    make_objective,
    make_step,
    train_state,
)


__all__ = [
    "Batches",
    "History",
    "Loss",
    "NonFiniteLoss",
    "Program",
    "StepReport",
    "TrainState",
    "Watch",
    "classification",
    "compile_program",
    "first_nonfinite_layer",
    "fit",
    "generated",
    "make_evaluation",
    "make_objective",
    "make_step",
    "random_key",
    "regression",
    "shuffled",
    "train_state",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
