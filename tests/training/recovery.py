"""A small run that tests stop, kill and damage: `python -m tests.training.recovery`."""

import os
import sys
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from jaxnets.data import Labelled
from jaxnets.training import Recipe, Trained, classification, random_key, train
from jaxnets.training.trainer.processes import join
from tests.training.networks import Tiny, examples


RECIPE = Recipe(
    steps=60,
    batch_size=8,
    learning_rate=0.02,
    average=0.9,
    warmup=5,
    evaluate_every=20,
    checkpoint_every=10,
)


def batch(step: int) -> Labelled:
    data = examples(64)
    rows = np.random.Generator(np.random.Philox(key=[0, step])).permutation(64)[:8]
    return Labelled(data.x[rows], data.y[rows])


def run(folder: Path, recipe: Recipe = RECIPE, **options) -> Trained:
    model = Tiny(nnx.Rngs(random_key(recipe.seed)))
    evaluation = {"validation": examples(16, seed=1)}
    options = {"evaluation": evaluation, "say": lambda text: None, **options}
    return train(model, classification, batch, recipe, folder, **options)


def main(path: str, port: str = "", index: str = "0") -> None:
    """Train in this process, or in two, of which this is one."""
    # As in `tests/conftest.py`: a small program takes longer to compile than to run.
    jax.config.update("jax_disable_most_optimizations", True)
    folder, devices = Path(path), 1
    if port:
        join(f"127.0.0.1:{port}", 2, int(index))
        devices = 2
    try:
        # The time between two lines is where the parent may kill this process.
        show = lambda step, _: print(step, flush=True)
        found = run(folder, devices=devices, on_call=show)
    except ConnectionError as error:
        print(error, file=sys.stderr, flush=True)
        # JAX would wait for the process that has ended.
        os._exit(1)
    print(found.params_sha256)


if __name__ == "__main__":
    main(*sys.argv[1:])
