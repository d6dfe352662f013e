"""Trainings of a few steps."""

from pathlib import Path
from typing import Any

import jax
import optax
from flax import nnx

from jaxnets.tasks import Outcome, Prepared, Task
from jaxnets.training import (
    Recipe,
    Trained,
    make_step,
    random_key,
    train,
    train_state,
)


def trained(prepared: Prepared, steps: int, learning_rate: float) -> nnx.Module:
    """Return the network of a task after some steps of Adam, in evaluation mode.

    No file of a run is written.
    """
    transform = optax.adam(learning_rate)
    graphdef, state = train_state(prepared.make(nnx.Rngs(0)), transform)
    step = jax.jit(make_step(graphdef, prepared.loss, transform))
    for number in range(steps):
        state, _ = step(state, prepared.batch(number))
    model = nnx.merge(graphdef, state.params, state.rest)
    model.eval()
    return model


def judged(
    task: Task, recipe: Recipe, folder: Path
) -> tuple[Prepared, Trained, Outcome]:
    """Return a task, its run with the validation alone, and what it says of it."""
    prepared = task.prepare(recipe, None)
    made = prepared.make(nnx.Rngs(random_key(0)))
    evaluation: Any = {"validation": prepared.evaluation["validation"]}
    loss, batch = prepared.loss, prepared.batch
    run = train(made, loss, batch, recipe, folder, evaluation=evaluation)
    run.model.eval()
    assert prepared.outcome is not None
    return prepared, run, prepared.outcome(run.model, folder)
