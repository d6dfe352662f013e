"""The task: its data, its baselines and its recipe."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
from flax import nnx

from jaxnets.data import Labelled
from jaxnets.tasks.dna.motifs import optimum, planted_motifs
from jaxnets.tasks.dna.network import Network
from jaxnets.tasks.dna.positions import PositionTable, position_weights_loss
from jaxnets.tasks.dna.results import results
from jaxnets.tasks.dna.sequences import read_sequences
from jaxnets.tasks.epochs import batches_of
from jaxnets.tasks.task import Prepared, Task
from jaxnets.training import Recipe, classification


@dataclasses.dataclass(frozen=True, kw_only=True)
class DNARecipe(Recipe):
    """A recipe that also says how the weights of words are trained.

    Attributes:
        table: The share of the table of positions that the network begins with.
        dropout: Rate of dropout of the words.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of range.
    """

    table: float
    dropout: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dropout >= 1:
            raise ValueError(f"`dropout` is {self.dropout}; wanted a rate below 1.")


def prepare(recipe: DNARecipe, data: Path | None) -> Prepared:
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

    make = functools.partial(make_network, training=training, recipe=recipe)
    evaluation = {"validation": validation, "test": test}
    judged = lambda model, folder: results(names, training, test, model)
    about = {"classes": names}
    return Prepared(make, classification, batch, evaluation, about, floors, judged)


def make_network(rngs: nnx.Rngs, training: Labelled, recipe: DNARecipe) -> Network:
    """Return the network for training sequences, before training."""
    table, share, dropout = PositionTable.of(training), recipe.table, recipe.dropout
    return Network(rngs, table, share=share, dropout=dropout)


TASK = Task(
    "dna",
    DNARecipe(
        steps=1000,
        batch_size=64,
        learning_rate=2e-3,
        optimizer="adamw",
        weight_decay=0.1,
        warmup=20,
        evaluate_every=100,
        checkpoint_every=100,
        table=0.3,
        dropout=0.7,
    ),
    prepare,
)
