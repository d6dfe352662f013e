"""`load_trained`: the network of a run, as its newest intact checkpoint has it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optax
from flax import nnx

from jaxnets.training.step import train_state
from jaxnets.training.trainer.advance import Progress, initial_progress
from jaxnets.training.trainer.checkpoints import Checkpoints
from jaxnets.training.trainer.manifest import DamagedError
from jaxnets.training.trainer.recipe import Recipe, make_optimizer
from jaxnets.training.trainer.run import CHECKPOINTS, Trained, params_sha256


def load_trained(
    make: Callable[[Mapping[str, Any]], nnx.Module],
    recipe: Recipe,
    folder: Path,
    *,
    optimizer: optax.GradientTransformation | None = None,
    say: Callable[[str], object] = print,
) -> tuple[Trained, dict[str, Any]]:
    """Return the network that a run has trained so far, to use it without training.

    Nothing in the folder is changed, so the run may still be going on.

    Args:
        make: `make(about)` makes the network, with any weights. `about` is the argument
            `about` of `train`.
        recipe: The recipe of the run, which decides what is in a checkpoint.
        folder: The folder that was given to `train`.
        optimizer: The Optax transform, if `train` was given one.
        say: Called with messages about checkpoints that are skipped because they are
            damaged or incomplete.

    Returns:
        The network in evaluation mode with its figures, as `train` returns them, and
        `about`.

    Raises:
        FileNotFoundError: If there is no intact checkpoint.
        ValueError: If the newest one is of another network or recipe.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from flax import nnx
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import Recipe, load_trained, regression, train
        >>> data = Labelled(np.ones((4, 2), np.float32), np.ones((4, 1), np.float32))
        >>> make = lambda about: nnx.Linear(about["features"], 1, rngs=nnx.Rngs(0))
        >>> recipe, about = Recipe(20, 4, 0.1), {"features": 2}
        >>> with tempfile.TemporaryDirectory() as path:
        ...     trained = train(
        ...         make(about), regression, lambda step: data, recipe, Path(path),
        ...         about=about,
        ...     )
        ...     loaded, about = load_trained(make, recipe, Path(path))
        >>> loaded.params_sha256 == trained.params_sha256, loaded.step, about
        (True, 20, {'features': 2})
    """
    transform = optimizer or make_optimizer(recipe)
    made: list[nnx.GraphDef] = []

    def progress_like(about: dict[str, Any]) -> Progress:
        graphdef, state = train_state(make(about), transform)
        made[:] = [graphdef]
        return initial_progress(state, averaging=bool(recipe.average))

    with Checkpoints(folder / CHECKPOINTS) as checkpoints:
        for step in reversed(checkpoints.steps()):
            try:
                found = checkpoints.read(step, progress_like)
            except (DamagedError, OSError) as error:
                say(f"The checkpoint of step {step} is passed over: {error}.")
                continue
            return _trained(made[0], found.step, found.state, found.about, recipe)
    raise FileNotFoundError(
        f"{folder} has no intact checkpoint in {CHECKPOINTS}. Train until the first "
        "one is written; the recipe says how often, in `checkpoint_every`."
    )


def _trained(
    graphdef: nnx.GraphDef,
    step: int,
    progress: Progress,
    about: dict[str, Any],
    recipe: Recipe,
) -> tuple[Trained, dict[str, Any]]:
    model = nnx.merge(graphdef, progress.weights, progress.train.rest)
    model.eval()
    metrics = about.pop("metrics", {})
    digest = params_sha256(nnx.state(model, nnx.Param))
    skipped = int(progress.skipped)
    return Trained(model, step, skipped, metrics, digest, step < recipe.steps), about
