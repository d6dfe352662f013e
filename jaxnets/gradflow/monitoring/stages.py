"""The first number of a training step that is not finite."""

import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.gradflow.trees import split_inexact


def nonfinite_stage(
    inputs: Any,
    weights: Mapping[str, bool],
    value: Any,
    responses: Mapping[str, Any],
    cotangents: Mapping[str, Any],
    gradients: Mapping[str, bool],
) -> tuple[str, str | None] | None:
    """Return the first number that is not finite, in the order of a step.

    A mask may be infinite on purpose. So the inputs, weights and outputs count only if
    the loss or a gradient is not finite either.

    Args:
        inputs: The share of numbers in the batch that are not finite.
        weights: Whether each parameter is finite before the update, by its path.
        value: The loss.
        responses: The share of numbers that are not finite at each tap, in the order of
            the forward pass; an array with one number for each turn in a loop.
        cotangents: The same share of the gradient at each tap.
        gradients: Whether the gradient of each parameter is finite.

    Returns:
        The stage, which is `inputs`, `weights`, `forward`, `loss`, `backward` or
        `gradient`, and the path of the tap or parameter, which is None for `inputs` and
        `loss`. None if the loss and all gradients are finite.

    Example:
        >>> finite = {"scale": True}
        >>> nonfinite_stage(0.0, finite, 0.5, {"body": 0.0}, {"body": 0.1}, finite)
        ('backward', 'body')
    """
    layer = first_layer(cotangents, backwards=True)
    parameter = _first_broken(gradients)
    is_finite = bool(np.isfinite(value))
    if is_finite and not layer and not parameter:
        return None
    if inputs > 0:
        return "inputs", None
    if broken := _first_broken(weights):
        return "weights", broken
    if not is_finite:
        layer = first_layer(responses)
        return ("forward", layer) if layer else ("loss", None)
    return ("backward", layer) if layer else ("gradient", parameter)


def nonfinite_share(tree: Any) -> jax.Array:
    """Return the share of the floating-point numbers of a pytree that are not finite.

    Example:
        >>> nonfinite_share([jnp.array([1.0, jnp.nan]), jnp.array([1, 2])])
        Array(0.5, dtype=float32)
    """
    leaves = split_inexact(tree)[0]
    count = sum(jnp.size(leaf) for leaf in leaves)
    broken = [jnp.sum(~jnp.isfinite(leaf)) for leaf in leaves]
    return jnp.asarray(sum(broken), jnp.float32) / max(count, 1)


def _first_broken(finite: Mapping[str, bool]) -> str | None:
    return next((name for name, is_finite in finite.items() if not is_finite), None)


def first_layer(shares: Mapping[str, Any], *, backwards: bool = False) -> str | None:
    """Return the first tap, in the order of a pass, with values that are not finite.

    Taps of the same loop are all in one turn before any is in the next turn. So a tap
    that is bad one turn earlier than the first one comes before it, if both are in the
    same loop: their paths then have more in common than those of two loops.

    Args:
        shares: The share of numbers that are not finite at each tap, in the order of
            the forward pass.
        backwards: Whether it is the backward pass.

    Example:
        >>> first_layer({"stack/norm": np.array([0, 0, 1]), "stack/mlp": [0, 1, 1]})
        'stack/mlp, number 1 of 3'
    """
    turns: dict[str, int] = {}
    for name in reversed(list(shares)) if backwards else shares:
        bad = np.flatnonzero(np.ravel(shares[name]) > 0)
        if bad.size:
            turns[name] = int(bad[-1] if backwards else bad[0])
    if not turns:
        return None
    first = next(iter(turns))
    size, earlier = np.size(shares[first]), turns[first] + (1 if backwards else -1)
    common = {
        name: _common_parts(name, first)
        for name, turn in turns.items()
        if turn == earlier and np.size(shares[name]) == size
    }
    # `max` returns the first of several names that have as much in common.
    first = max(common, key=lambda name: common[name], default=first)
    in_loop = np.ndim(shares[first]) > 0
    return f"{first}, number {turns[first]} of {size}" if in_loop else first


def _common_parts(path: str, other: str) -> int:
    """Return the number of parts that two paths have in common at their start."""
    pairs = zip(path.split("/"), other.split("/"), strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
