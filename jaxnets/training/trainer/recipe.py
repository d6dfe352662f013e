"""`Recipe`: everything that decides how a network is trained, as plain numbers."""

import dataclasses
import functools
import json
from typing import Any, Literal, get_args

import jax
import optax

from jaxnets.arguments import as_count
from jaxnets.training.losses import classification
from jaxnets.training.step import Loss
from jaxnets.training.trainer.advance import in_bfloat16
from jaxnets.training.trainer.checkpoints import DIGITS


Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "cosine"]
ComputeDtype = Literal["float32", "bfloat16"]
CHOICES = {
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "dtype": get_args(ComputeDtype),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings with which `train` trains a network.

    Attributes:
        steps: Number of updates. With `accumulate` it is the number of batches, and
            `warmup`, `evaluate_every` and `checkpoint_every` count batches too.
        batch_size: Number of examples in a batch.
        learning_rate: The largest learning rate.
        optimizer: `sgd` with momentum 0.9, `adam` or `adamw`.
        schedule: `constant`, or `cosine`, which falls to zero at the last step.
        warmup: Number of first updates over which the rate rises from zero.
        weight_decay: Decoupled decay of `adamw`; with `sgd` it is added to the
            gradient. Arrays of fewer than two axes, such as biases, do not decay.
        clip_norm: Largest norm of the gradient; 0 does not clip.
        accumulate: Number of batches whose gradients are averaged for one update.
        average: Decay per batch of the moving average of the weights; 0 keeps no
            average. Evaluations and samples use the average.
        patience: Number of evaluations without a better validation loss after which
            training stops; 0 never stops.
        evaluate_every: Number of updates between two evaluations.
        checkpoint_every: Number of updates between two checkpoints.
        dtype: The dtype of the computation; the weights stay float32.
        label_smoothing: Share of each target's probability that is spread evenly over
            all classes in training. Only the loss `classification` supports it.
        seed: Seed of the network and of the order of the data.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of range or unknown.

    Example:
        >>> from jaxnets.training import Recipe
        >>> Recipe(steps=100, batch_size=32, learning_rate=0.01).optimizer
        'adam'
    """

    steps: int
    batch_size: int
    learning_rate: float
    optimizer: Optimizer = "adam"
    schedule: Schedule = "cosine"
    warmup: int = 0
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    accumulate: int = 1
    average: float = 0.0
    patience: int = 0
    evaluate_every: int = 100
    checkpoint_every: int = 100
    dtype: ComputeDtype = "float32"
    label_smoothing: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in CHOICES:
                _check_choice(field.name, value)
            elif field.type is int:
                least = 0 if field.name in ("warmup", "patience", "seed") else 1
                # A checkpoint of more steps could not be named.
                most = 10**DIGITS - 1 if field.name == "steps" else None
                as_count(value, field.name, minimum=least, maximum=most)
            else:
                _check_rate(field.name, value)

    def override(self, name: str, text: str) -> "Recipe":
        """Return the recipe with one value replaced by the one written in `text`.

        Raises:
            ValueError: If the recipe has no such name, or the text is no valid value
                for it.

        Example:
            >>> from jaxnets.training import Recipe
            >>> recipe = Recipe(steps=100, batch_size=32, learning_rate=0.01)
            >>> recipe.override("schedule", "constant").schedule
            'constant'
        """
        fields = {field.name: field for field in dataclasses.fields(self)}
        if name not in fields:
            raise ValueError(
                f"there is no {name!r} in a recipe; wanted one of {', '.join(fields)}."
            )
        value: Any = text
        if name not in CHOICES:
            try:
                value = json.loads(text)
            except ValueError as error:
                raise ValueError(f"`{name}` is {text!r}; wanted a number.") from error
        try:
            return dataclasses.replace(self, **{name: value})
        except TypeError as error:
            raise ValueError(str(error)) from error


def make_optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """Return the Optax transform of a recipe.

    Args:
        recipe: The recipe. All its settings of the update are used.

    Returns:
        One transform with clipping, weight decay, optimiser and schedule.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.training import Recipe, make_optimizer
        >>> optimizer = make_optimizer(Recipe(10, 32, 0.1, optimizer="sgd"))
        >>> w = jnp.ones(1)
        >>> optimizer.update(jnp.ones(1), optimizer.init(w), w)[0]
        Array([-0.1], dtype=float32)
    """
    rate = _learning_rate(recipe)
    decayed = lambda params: jax.tree.map(lambda array: array.ndim >= 2, params)
    decay = optax.add_decayed_weights(recipe.weight_decay, mask=decayed)
    parts = [optax.clip_by_global_norm(recipe.clip_norm)] if recipe.clip_norm else []
    if recipe.optimizer == "sgd":
        parts += [decay, optax.sgd(rate, momentum=0.9)]
    elif recipe.optimizer == "adam":
        parts += [optax.adam(rate)]
    else:
        parts += [optax.scale_by_adam(), decay, optax.scale_by_learning_rate(rate)]
    transform = optax.chain(*parts)
    if recipe.accumulate == 1:
        return transform
    return optax.MultiSteps(transform, recipe.accumulate).gradient_transformation()


def training_loss(loss: Loss, recipe: Recipe) -> Loss:
    """Return the loss that is trained, with what evaluations leave out.

    Raises:
        ValueError: If `label_smoothing` is not 0 and the loss has none.
    """
    if recipe.label_smoothing:
        if loss is not classification:
            raise ValueError(
                f"`label_smoothing` is {recipe.label_smoothing}, which only the loss "
                "`jaxnets.training.classification` has; wanted 0."
            )
        smoothing = recipe.label_smoothing
        loss = functools.partial(classification, label_smoothing=smoothing)
    return in_bfloat16(loss) if recipe.dtype == "bfloat16" else loss


def _learning_rate(recipe: Recipe) -> optax.Schedule:
    # The schedule counts updates; with `accumulate` there are fewer than batches.
    steps = max(1, recipe.steps // recipe.accumulate)
    warmup = min(recipe.warmup // recipe.accumulate, steps)
    if recipe.schedule == "cosine":
        after = optax.cosine_decay_schedule(
            recipe.learning_rate, max(1, steps - warmup)
        )
    else:
        after = optax.constant_schedule(recipe.learning_rate)
    if not warmup:
        return after
    before = optax.linear_schedule(0.0, recipe.learning_rate, warmup)
    return optax.join_schedules([before, after], [warmup])


def _check_choice(name: str, value: Any) -> None:
    if value not in CHOICES[name]:
        wanted = ", ".join(CHOICES[name])
        raise ValueError(f"`{name}` is {value!r}; wanted one of {wanted}.")


def _check_rate(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"`{name}` is {value!r}; wanted a number.")
    positive = name == "learning_rate"
    if not (value > 0 if positive else value >= 0) or value == float("inf"):
        wanted = "above 0" if positive else "of at least 0"
        raise ValueError(f"`{name}` is {value}; wanted a finite number {wanted}.")
    if name in ("average", "label_smoothing") and value >= 1:
        raise ValueError(f"`{name}` is {value}; wanted a number below 1.")
