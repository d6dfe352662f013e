"""The task: its data, its baselines and its recipe."""

import functools
from pathlib import Path

import numpy as np

from jaxnets.tasks.dna.motifs import optimum, planted_motifs
from jaxnets.tasks.dna.network import Network
from jaxnets.tasks.dna.positions import PositionTable, position_weights_loss
from jaxnets.tasks.dna.results import results
from jaxnets.tasks.dna.sequences import read_sequences
from jaxnets.tasks.epochs import batches_of
from jaxnets.tasks.task import Prepared, Task
from jaxnets.training import Recipe, classification


def prepare(recipe: Recipe, data: Path | None) -> Prepared:
    """Load sequences, and draw each epoch in a new order.

    Args:
        recipe: Its seed and batch size decide the order.
        data: A file with a line `class, name, sequence` for each sequence, such as
            UCI's `splice.data` and `promoters.data`; None generates sequences with
            motifs that are known.

    Raises:
        ValueError: If the file is not of that form, or too small.
        OSError: If it cannot be read.
    """
    if data is None:
        names, splits = ["donor", "acceptor", "neither"], planted_motifs()
    else:
        names, splits = read_sequences(data)
    training, validation, test = splits
    batch = batches_of(recipe, training, "training sequences")

    def floors() -> dict[str, float]:
        chances = np.bincount(training.y, minlength=len(names)) / len(training.y)
        found = {
            "floor": float(-np.log(chances[validation.y]).mean()),
            "position_weights": position_weights_loss(training, validation),
        }
        return found | ({"optimum": optimum(validation)} if data is None else {})

    make = functools.partial(Network, table=PositionTable.of(training))
    loss = functools.partial(classification, label_smoothing=recipe.label_smoothing)
    evaluation = {"validation": validation, "test": test}
    judged = lambda model, folder: results(names, training, test, model)
    about = {"classes": names}
    return Prepared(make, loss, batch, evaluation, about, floors, judged)


TASK = Task(
    "dna",
    Recipe(
        steps=1000,
        batch_size=64,
        learning_rate=2e-3,
        optimizer="adamw",
        weight_decay=0.1,
        warmup=20,
        evaluate_every=100,
        checkpoint_every=100,
    ),
    prepare,
)
