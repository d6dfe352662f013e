"""Training: a pure step, all seeds in one program, and runs that can be resumed."""

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
from jaxnets.training.trainer.calls import NonFiniteBatch
from jaxnets.training.trainer.loading import load_trained
from jaxnets.training.trainer.order import rows_of_step
from jaxnets.training.trainer.recipe import Recipe, make_optimizer
from jaxnets.training.trainer.run import Trained, params_sha256, train


__all__ = [
    "Batches",
    "History",
    "Loss",
    "NonFiniteBatch",
    "NonFiniteLoss",
    "Program",
    "Recipe",
    "StepReport",
    "TrainState",
    "Trained",
    "Watch",
    "classification",
    "compile_program",
    "first_nonfinite_layer",
    "fit",
    "generated",
    "load_trained",
    "make_evaluation",
    "make_objective",
    "make_optimizer",
    "make_step",
    "params_sha256",
    "random_key",
    "regression",
    "rows_of_step",
    "shuffled",
    "train",
    "train_state",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
