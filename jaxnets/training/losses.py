"""Losses of an NNX module on a batch, each with an accuracy."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxnets.arguments import as_array, check_callable, described
from jaxnets.data import Labelled
from jaxnets.training.arguments import check_batch


def classification(
    model: Callable[[Any], jax.Array], batch: Labelled, *, label_smoothing: float = 0.0
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the softmax cross-entropy in nats and `{"accuracy": share}`.

    Both are means over the batch and, for sequences of labels, over time.

    Args:
        model: Maps `batch.x` to logits `(..., classes)`.
        batch: Inputs, and integer labels `(...)`.
        label_smoothing: Share of the probability that is taken from the right class and
            spread evenly over all of them, from 0 to below 1.

    Returns:
        The loss, and the share of the examples whose label has the largest logit. The
        loss is NaN if a label is not from 0 to `classes - 1`.

    Raises:
        TypeError: If `model` is not a function, `batch` has no `x` and `y`, or the
            labels are not integers.
        ValueError: If the labels do not have the shape of the logits without the last
            axis, or there are none.

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
    logits = _predictions(model, batch, "logits `(..., classes)`")
    labels = as_array(batch.y, "batch.y")
    _check_labels(labels, logits)
    # A negative index would count from the last class; one beyond all classes is NaN.
    index = labels.astype(jnp.int32) if labels.dtype.itemsize < 4 else labels
    index = jnp.where(index < 0, logits.shape[-1], index)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, index)
    if label_smoothing:
        spread = -jnp.mean(jax.nn.log_softmax(logits), axis=-1)
        losses = (1 - label_smoothing) * losses + label_smoothing * spread
    hits = jnp.argmax(logits, axis=-1) == labels
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
        TypeError: If `model` is not a function, or `batch` has no `x` and `y`.
        ValueError: If the model's output does not have the shape of the targets, or
            there are none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import regression
        >>> batch = Labelled(jnp.array([[1.0], [2.0]]), jnp.array([[1.0], [3.0]]))
        >>> loss, figures = regression(lambda x: x, batch)
        >>> float(loss), float(figures["accuracy"])
        (0.5, 0.5)
    """
    y = _predictions(model, batch, "predictions of the shape of `batch.y`")
    targets = as_array(batch.y, "batch.y")
    if y.shape != targets.shape or y.size == 0:
        raise ValueError(
            f"`model` returned shape {y.shape} for targets of shape {targets.shape}; "
            "wanted equal shapes with at least one example. Add or remove the last "
            "axis of one."
        )
    errors = y - targets
    solved = jnp.abs(errors) < 0.04
    return jnp.mean(errors**2), {"accuracy": jnp.mean(solved, dtype=jnp.float32)}


def _predictions(model: Any, batch: Any, wanted: str) -> Any:
    """Return `model(batch.x)`; raise a TypeError unless it is an array of floats."""
    check_callable("model", model, "a module or function of `batch.x`")
    check_batch("batch", batch)
    y = model(batch.x)
    if not hasattr(y, "dtype") or not jnp.issubdtype(y.dtype, jnp.floating):
        raise TypeError(
            f"`model` returned a value that is {described(y)}; wanted {wanted}."
        )
    # Logarithms and squares of 16-bit numbers would lose most digits.
    return y.astype(jnp.promote_types(y.dtype, jnp.float32))


def _check_labels(labels: Any, logits: Any) -> None:
    """Raise an error unless there is one integer label for each row of logits."""
    wanted = f"one integer label for each row of logits, shape {logits.shape[:-1]}"
    if labels.shape == logits.shape and logits.ndim:
        raise ValueError(
            f"`batch.y` has the shape {labels.shape} of the logits, as one-hot labels "
            f"have; wanted {wanted}. Convert it with `jnp.argmax(y, axis=-1)`."
        )
    if logits.ndim == 0 or labels.shape != logits.shape[:-1] or labels.size == 0:
        raise ValueError(
            f"`batch.y` has shape {labels.shape} for logits of shape {logits.shape}; "
            f"wanted {wanted}, and at least one."
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"`batch.y` has dtype {labels.dtype}; wanted {wanted}. Convert it with "
            "`.astype(jnp.int32)`, or use `regression`."
        )
