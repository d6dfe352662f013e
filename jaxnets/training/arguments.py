"""Checks of the arguments that the functions of training share."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets.arguments import check_callable, described
from jaxnets.gradflow.trees import leading_size


def check_batch(name: str, batch: Any) -> None:
    """Raise a TypeError unless `batch` has inputs `x` and targets `y`."""
    if getattr(batch, "x", None) is None or getattr(batch, "y", None) is None:
        raise TypeError(
            f"`{name}` is {described(batch)}; wanted inputs and targets, "
            "`jaxnets.data.Labelled(x, y)`."
        )


def check_module(name: str, model: Any) -> None:
    """Raise a TypeError unless `model` is an NNX module."""
    if not isinstance(model, nnx.Module):
        kind = "a class" if isinstance(model, type) else described(model)
        raise TypeError(f"`{name}` is {kind}; wanted an `nnx.Module`, the network.")


def check_graphdef(graphdef: Any) -> None:
    """Raise a TypeError unless `graphdef` is the graph definition of a module."""
    if not isinstance(graphdef, nnx.GraphDef):
        raise TypeError(
            f"`graphdef` is {described(graphdef)}; wanted the graph definition of the "
            "network: `graphdef, state = train_state(model, optimizer)`."
        )


def check_loss(loss: Any) -> None:
    """Raise a TypeError unless `loss` is a function."""
    wanted = "a function `loss(model, batch) -> (scalar, {name: figure})`"
    check_callable("loss", loss, wanted)


def check_optimizer(optimizer: Any) -> None:
    """Raise a TypeError unless `optimizer` is an Optax transform."""
    if not hasattr(optimizer, "init") or not hasattr(optimizer, "update"):
        raise TypeError(
            f"`optimizer` is {described(optimizer)}; wanted an Optax transform, such "
            "as `optax.sgd(0.1)`."
        )


def check_optional_callable(name: str, function: Any, wanted: str) -> None:
    """Raise a TypeError unless `function` is None or a function."""
    if function is not None:
        check_callable(name, function, f"None or a function {wanted}")


def check_boolean(name: str, value: Any) -> None:
    """Raise a TypeError unless `value` is one boolean, which may be traced."""
    known = isinstance(value, bool)
    traced = getattr(value, "dtype", None) == jnp.bool and jnp.shape(value) == ()
    if not known and not traced:
        raise TypeError(f"`{name}` is {described(value)}; wanted one boolean.")


def checked_loss(result: Any) -> tuple[Any, dict[str, Any]]:
    """Return what a loss returned: a real number, and figures by name.

    Raises:
        TypeError: If it is not such a pair.
        ValueError: If the loss is not one number, or a figure is named `loss`.
    """
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TypeError(
            f"`loss` returned a value of type {type(result).__name__}; wanted the pair "
            "`(scalar, {name: figure})`, such as `(value, {})`."
        )
    value, figures = result
    # A constant loss may be a Python number.
    real = isinstance(value, float)
    if hasattr(value, "dtype"):
        real = jnp.issubdtype(value.dtype, jnp.floating)
    if not real:
        raise TypeError(
            f"`loss` returned {described(value)} as the loss; wanted a real number."
        )
    if jnp.shape(value) != ():
        raise ValueError(
            f"`loss` returned a loss of shape {jnp.shape(value)}; wanted one number. "
            "Reduce it with `jnp.mean`."
        )
    if not isinstance(figures, Mapping):
        raise TypeError(
            f"`loss` returned figures of type {type(figures).__name__}; wanted a "
            "dictionary by name, such as {'accuracy': accuracy}, or {}."
        )
    if "loss" in figures:
        raise ValueError(
            "`loss` returned a figure named 'loss', which is the name of the loss "
            "itself; wanted another name."
        )
    return value, dict(figures)


def leading_axis(name: str, tree: Any, meaning: str) -> int:
    """Return the size of the leading axis that all arrays of `tree` have.

    Args:
        name: What `tree` is, for the error message.
        tree: A pytree of arrays.
        meaning: What the leading axis counts.

    Raises:
        TypeError: If a leaf is not an array.
        ValueError: If the arrays have no leading axis, or different or empty ones.
    """
    for leaf in jax.tree.leaves(tree):
        if not hasattr(leaf, "dtype") or getattr(leaf.dtype, "kind", "V") in "OSUMm":
            raise TypeError(
                f"{name} has a leaf that is {described(leaf)}; wanted "
                "arrays of numbers."
            )
    size = leading_size(tree)
    if size is None:
        raise ValueError(
            f"{name} has the shapes {jax.tree.map(jnp.shape, tree)}; wanted one or "
            f"several arrays with the same leading axis, {meaning}, of at least 1."
        )
    return size
