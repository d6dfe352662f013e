"""Captions: a CNN and an LSTM with attention that say which digits are where."""

from jaxnets.tasks.captions.training import prepare
from jaxnets.tasks.task import Task
from jaxnets.training import Recipe


TASK = Task(
    "captions",
    Recipe(
        steps=3000,
        batch_size=64,
        learning_rate=3e-3,
        optimizer="adamw",
        weight_decay=0.1,
        warmup=50,
        evaluate_every=500,
        checkpoint_every=500,
    ),
    prepare,
)
