"""Training for a number of epochs, which stops at a loss that is not finite."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.arguments import as_count, as_seed, described
from jaxnets.training.arguments import check_optional_callable
from jaxnets.training.nonfinite import NonFinite
from jaxnets.training.program import Program, random_key
from jaxnets.training.step import StepReport, TrainState


class History(NamedTuple):
    """The reports and evaluations of a training, as NumPy arrays.

    `fit` returns it; see its example.

    Attributes:
        reports: The reports of all steps: arrays `(seeds, steps, ...)`.
        figures: The evaluations after each epoch: arrays `(seeds, epochs)` by name,
            such as `validation_loss`.
        steps_per_epoch: Number of updates in an epoch.
    """

    reports: StepReport
    figures: dict[str, np.ndarray]
    steps_per_epoch: int


# By stage: what is not finite, and where that starts.
_STAGES = {
    "inputs": (
        "A batch is not finite",
        "The inputs or targets have NaN or infinities: look at the data.",
    ),
    "weights": (
        "A weight is not finite",
        "It was already so before the update. First such parameter: {layer}.",
    ),
    "forward": ("The loss is not finite", "First layer that is not finite: {layer}."),
    "loss": (
        "The loss is not finite",
        "The outputs of all layers are finite, only the loss is not.",
    ),
    "backward": (
        "The gradient is not finite",
        "The loss is finite, but the gradient at the output of {layer} is not. Look at "
        "the derivative of what follows it.",
    ),
    "gradient": (
        "The gradient is not finite",
        "The gradients at the outputs of all layers are finite. First parameter whose "
        "gradient is not: {layer}.",
    ),
    "update": (
        "The update is not finite",
        "The gradient is finite. First parameter whose update is not: {layer}.",
    ),
    "unknown": (
        "The loss or a weight is not finite",
        "The first layer that is not finite is unknown, because the same steps, "
        "repeated one by one, gave finite numbers.",
    ),
}


class NonFiniteLoss(Exception):
    """A loss or a weight became NaN or infinite.

    Attributes:
        seed_index: Index of the seed among those of the program.
        step: Number of updates before the step with the first number that is not
            finite.
        layer: The path of the first layer or parameter that is not finite in that step;
            None if it is the batch or the loss alone, or unknown.
        history: The history of the epochs before; None in the first epoch.
        stage: What is not finite first, in the order of a step: `inputs` (the batch),
            `weights` before the update, `forward` (the output of `layer`), `loss`,
            `backward` (the gradient at the output of `layer`), `gradient` (of a
            parameter), `update`; or `unknown`.

    Example:
        >>> from jaxnets.training import NonFiniteLoss
        >>> str(NonFiniteLoss(0, 12, "block3", None)).partition(".")[0]
        'The loss is not finite at step 12 (seed number 0)'
    """

    def __init__(
        self,
        seed_index: int,
        step: int,
        layer: str | None,
        history: History | None,
        stage: str = "forward",
    ):
        if stage == "forward" and layer is None:
            stage = "loss"
        what, where = _STAGES[stage]
        super().__init__(
            f"{what} at step {step} (seed number {seed_index}). "
            f"{where.format(layer=layer)} Lower the learning rate, clip the gradient, "
            "or normalise the layers."
        )
        self.seed_index = seed_index
        self.step = step
        self.layer = layer
        self.history = history
        self.stage = stage


def fit(
    program: Program,
    epochs: int,
    evaluation: dict[str, Any],
    *,
    data_seed: int = 0,
    on_epoch: Callable[[int, dict[str, np.ndarray]], None] | None = None,
) -> tuple[TrainState, History]:
    """Train all seeds of `program` for `epochs`.

    Args:
        program: The program of `compile_program`.
        epochs: Number of epochs, at least 1.
        evaluation: `{name: batch}`; each batch is evaluated after each epoch.
        data_seed: Seed of the data and its order.
        on_epoch: `on_epoch(number, figures)` is called after each epoch, with its
            number, counted from 1, and its evaluations.

    Returns:
        The final states and the `History` of all epochs.

    Raises:
        NonFiniteLoss: If the loss of a seed is not finite, or a weight after an epoch.
        TypeError: If an argument has the wrong type.
        ValueError: If `epochs` is below 1, or `data_seed` not from 0 to 2^32 - 1.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> from flax import nnx
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import compile_program, fit, regression, shuffled
        >>> data = Labelled(jnp.ones((6, 2)), jnp.ones((6, 1)))
        >>> make = lambda rngs: nnx.Linear(2, 1, rngs=rngs)
        >>> batches = shuffled(data, batch_size=2)
        >>> program = compile_program(
        ...     make, regression, optax.sgd(0.1), batches, seeds=(0, 1)
        ... )
        >>> _, history = fit(program, 5, {"validation": data})
        >>> history.reports.loss.shape, history.figures["validation_loss"].shape
        ((2, 15), (2, 5))
    """
    if not isinstance(program, Program):
        raise TypeError(
            f"`program` is {described(program)}; wanted what `compile_program` "
            "returned."
        )
    epochs, data_seed = as_count(epochs, "epochs"), as_seed(data_seed, "data_seed")
    if not isinstance(evaluation, Mapping) or not all(
        isinstance(name, str) for name in evaluation
    ):
        raise TypeError(
            f"`evaluation` is {described(evaluation)}; wanted a dictionary of batches "
            "by name, such as {'validation': data}, or {}."
        )
    check_optional_callable("on_epoch", on_epoch, "`on_epoch(number, figures)`")
    state, seen = program.initial, []
    key = random_key(data_seed)
    for number in range(1, epochs + 1):
        batches = program.batches(jax.random.fold_in(key, number))
        after, report = program.epoch(state, batches)
        failure = _failure(report.loss, state.params, after.params)
        if failure is not None:
            raise _nonfinite_loss(program, state, batches, failure, seen)
        state = after
        figures = {
            f"{name}_{figure}": np.asarray(value)
            for name, batch in evaluation.items()
            for figure, value in program.evaluate(state, batch).items()
        }
        seen.append((jax.tree.map(np.asarray, report), figures))
        if on_epoch is not None:
            on_epoch(number, figures)
    return state, _history(seen)


def _history(seen: list[tuple[StepReport, dict[str, np.ndarray]]]) -> History:
    """Concatenate the reports of the epochs, and stack their evaluations."""
    reports = jax.tree.map(lambda *a: np.concatenate(a, axis=1), *[r for r, _ in seen])
    figures = jax.tree.map(lambda *a: np.stack(a, axis=1), *[f for _, f in seen])
    return History(reports, figures, seen[0][0].loss.shape[1])


def _failure(losses: Any, before: Any, after: Any) -> tuple[int, int] | None:
    """Return the step and the seed of the first loss or weight that is not finite.

    Weights count only after the epoch, and not if they were not finite before it.
    """
    finite = np.isfinite(losses)
    finite[:, -1] &= _finite_seeds(after) | ~_finite_seeds(before)
    steps, seeds = np.nonzero(~finite.T)
    return (int(steps[0]), int(seeds[0])) if len(steps) else None


@jax.jit
def _finite_by_array(tree: Any) -> list[jax.Array]:
    axes = lambda array: tuple(range(1, array.ndim))
    return [jnp.isfinite(a).all(axes(a)) for a in jax.tree.leaves(tree)]


def _finite_seeds(params: Any) -> np.ndarray:
    """Return for each seed whether all its weights are finite."""
    return np.all(_finite_by_array(params), axis=0)


def _nonfinite_loss(program, state, batches, failure, seen) -> NonFiniteLoss:
    """Return the error for an epoch in which a step of a seed failed."""
    step, seed_index = failure
    of_seed = jax.tree.map(lambda array: array[seed_index], state)
    found = program.first_nonfinite(of_seed, batches)
    found = found or NonFinite(step, "unknown", None)
    history = _history(seen) if seen else None
    before = history.reports.loss.shape[1] if history else 0
    return NonFiniteLoss(
        seed_index, before + found.step, found.place, history, found.stage
    )
