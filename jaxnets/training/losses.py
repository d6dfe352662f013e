"""Losses of an NNX module on a batch, each with an accuracy."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxnets.data import Labelled


def classification(
    model: Callable[[Any], jax.Array], batch: Labelled
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the softmax cross-entropy in nats and `{"accuracy": share}`.

    Both are means over the batch and, for sequences of labels, over time.

    Args:
        model: Maps `batch.x` to logits `(..., classes)`.
        batch: Inputs, and integer labels `(...)`.

    Returns:
        The loss, and the share of the examples whose label has the largest logit.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import classification
        >>> logits = jnp.array([[0.0, 0.0], [0.0, 50.0]])
        >>> batch = Labelled(logits, jnp.array([0, 1]))
        >>> loss, figures = classification(lambda x: x, batch)
        >>> round(float(loss), 4), float(figures["accuracy"])
        (0.3466, 1.0)
    """
    logits = model(batch.x)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.y)
    hits = jnp.argmax(logits, axis=-1) == batch.y
    return jnp.mean(losses), {"accuracy": jnp.mean(hits, dtype=jnp.float32)}


def regression(
    model: Callable[[Any], jax.Array], batch: Labelled
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the mean squared error and `{"accuracy": share}` of errors below 0.04.

    Hochreiter and Schmidhuber 1997 (experiment 4) count a sequence of the adding
    problem as solved if its error is below 0.04.

    Args:
        model: Maps `batch.x` to predictions of the shape of `batch.y`.
        batch: Inputs and targets.

    Returns:
        The loss, and the share of predictions whose error is below 0.04.

    Raises:
        ValueError: If the model's output does not have the shape of the targets.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import regression
        >>> batch = Labelled(jnp.array([[1.0], [2.0]]), jnp.array([[1.0], [3.0]]))
        >>> loss, figures = regression(lambda x: x, batch)
        >>> float(loss), float(figures["accuracy"])
        (0.5, 0.5)
    """
    y = model(batch.x)
    if y.shape != batch.y.shape:
        raise ValueError(
            f"The model returned shape {y.shape} for targets of shape "
            f"{batch.y.shape}; wanted equal shapes. Add or remove the last axis of one."
        )
    errors = y - batch.y
    solved = jnp.abs(errors) < 0.04
    return jnp.mean(errors**2), {"accuracy": jnp.mean(solved, dtype=jnp.float32)}
