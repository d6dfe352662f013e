"""The size of each parameter array, of its gradient and of its update."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxnets.tap.statistics import as_real, norms_of


class ArrayStats(NamedTuple):
    """Numbers of one parameter array.

    Attributes:
        gradient: Norm of the gradient of the loss.
        weight: Norm of the array.
        update: Norm of what the optimiser adds to it; None without an optimiser.
        moved: Share of the array's entries that the update changes: an update that is
            too small for the precision of the array changes none.
        zeros: Share of the gradient's entries that are exactly zero.
    """

    gradient: Float[Array, ""]
    weight: Float[Array, ""]
    update: Float[Array, ""] | None
    moved: Float[Array, ""] | None
    zeros: Float[Array, ""]


METRICS = {
    "gradient": "log10_array_gradient_norm",
    "weight": "log10_array_weight_norm",
    "update": "log10_array_update_norm",
    "moved": "array_moved_share",
    "zeros": "array_zero_share",
}


def array_stats(
    params: Any, grads: Any, updates: Any = None, after: Any = None
) -> dict[str, ArrayStats]:
    """Return the numbers of each floating-point array by its path.

    Args:
        params: `nnx.State` of the parameters.
        grads: Their gradients, with the same structure.
        updates: What the optimiser adds to them; None without an optimiser.
        after: The parameters after the update; None without an optimiser.

    Example:
        >>> import jax.numpy as jnp
        >>> stats = array_stats({"head": jnp.ones(4)}, {"head": jnp.zeros(4)})
        >>> float(stats["head"].weight), float(stats["head"].zeros)
        (2.0, 1.0)
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    grad_leaves = jax.tree.leaves(grads)
    moves, ends = (
        [None] * len(leaves) if tree is None else jax.tree.leaves(tree)
        for tree in (updates, after)
    )
    # The gradient of an array of whole numbers has a type without values.
    rows = [
        (array_name(path), weight, grad, move, end)
        for (path, weight), grad, move, end in zip(
            leaves, grad_leaves, moves, ends, strict=True
        )
        if jnp.issubdtype(jnp.result_type(weight), jnp.inexact) and weight.size
    ]
    sized = [[a for a in row[1:4] if a is not None] for row in rows]
    flat = [as_real(a) for arrays in sized for a in arrays]
    norms = iter(norms_of(flat) if flat else [])
    found = {}
    for name, weight, grad, move, end in rows:
        size, of_grad = next(norms), next(norms)
        found[name] = ArrayStats(
            gradient=of_grad,
            weight=size,
            update=None if move is None else next(norms),
            moved=None if end is None else _share(end != weight),
            zeros=_share(grad == 0),
        )
    return found


def _share(truth: Array) -> Float[Array, ""]:
    return jnp.mean(truth.astype(jnp.float32))


def array_name(path: Any) -> str:
    """Return the path of an array as in records, such as `body/3/kernel`.

    Example:
        >>> array_name((jax.tree_util.DictKey("body"), jax.tree_util.DictKey(3)))
        'body/3'
    """
    keys = [key for key in path if not isinstance(key, jax.tree_util.GetAttrKey)]
    return jax.tree_util.keystr(tuple(keys), simple=True, separator="/")


def array_numbers(stats: dict[str, ArrayStats]) -> Iterator[tuple[str, str, float]]:
    """Return metric, place and value of every number, norms as logarithms."""
    for place, array in stats.items():
        for field, metric in METRICS.items():
            value = getattr(array, field)
            if value is None:
                continue
            with np.errstate(divide="ignore"):
                is_norm = metric.startswith("log10_")
                number = np.log10(np.float64(value)) if is_norm else value
            yield metric, place, float(number)
