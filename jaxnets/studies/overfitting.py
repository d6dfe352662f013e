"""Overfitting: a large network on few examples, with and without dropout."""

import dataclasses
from collections.abc import Sequence

import optax

from jaxnets import models, training
from jaxnets.studies import datasets
from jaxnets.studies.arm import Arm, OnEpoch, Outcome, Recorder
from jaxnets.studies.training_run import train


@dataclasses.dataclass(frozen=True)
class OverfittingSettings:
    """The size of the study.

    Attributes:
        rates: Dropout rates; 0 means no dropout.
        widths: Number of units in each hidden layer.
        epochs: Number of passes through the training data.
        batch_size: Number of images in a batch.
        examples: Number of training images to use, which is small on purpose.
        learning_rate: Learning rate of Adam.
    """

    rates: Sequence[float]
    widths: Sequence[int]
    epochs: int
    batch_size: int
    examples: int
    learning_rate: float


SCALES = {
    "smoke": OverfittingSettings((0.0, 0.5), (16,), 2, 16, 48, 3e-3),
    "laptop": OverfittingSettings((0.0, 0.5), (64, 64, 64), 60, 25, 200, 3e-3),
    "hour": OverfittingSettings((0.0, 0.5), (512, 512), 200, 25, 200, 1e-3),
    "accelerator": OverfittingSettings((0.0, 0.5), (1024, 1024), 200, 50, 1000, 1e-3),
}
NOTES: tuple[str, ...] = ()
INITIALISER = "Both networks: weights normal with variance 1 / fan_in, biases zero."


def arms(scale: str, dataset: str) -> list[Arm]:
    """Return the arms of the study: without and with dropout."""
    return [
        Arm(
            "overfitting",
            f"dropout-{rate:g}" if rate else "no-dropout",
            f"dropout {rate:g}" if rate else "no dropout",
            rate,
            {"rate": rate, "scale": scale, "dataset": dataset},
        )
        for rate in SCALES[scale].rates
    ]


def run(arm: Arm, seeds: Sequence[int], on_epoch: OnEpoch) -> Outcome:
    """Train the networks of `arm` for all seeds and record both sides of the gap."""
    settings = SCALES[arm.settings["scale"]]
    splits = datasets.first(datasets.load(arm.settings["dataset"]), settings.examples)
    trained = train(
        lambda rngs: models.MLP(
            splits.train.x[0].size,
            10,
            widths=settings.widths,
            dropout=arm.settings["rate"],
            rngs=rngs,
        ),
        training.classification,
        optax.adam(settings.learning_rate),
        training.shuffled(splits.train, settings.batch_size),
        # The training data is evaluated too, without dropout. So both curves belong to
        # the same network, and their distance is the generalisation gap alone.
        {"train": splits.train, "validation": splits.validation},
        test=splits.test,
        seeds=seeds,
        epochs=settings.epochs,
        on_epoch=on_epoch,
    )
    recorder = Recorder(arm, seeds)
    trained.record_curves(recorder)
    return trained.outcome(recorder)
