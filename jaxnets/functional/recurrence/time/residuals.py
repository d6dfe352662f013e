"""A pullback taken apart, so that a scan can stack its residuals over time."""

import dataclasses
import functools
from typing import Any

import jax


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["arrays"],
    meta_fields=["structure", "indices"],
)
@dataclasses.dataclass(frozen=True)
class FlatPullback:
    """The residuals of a pullback of `jax.vjp`, each once.

    Attributes:
        arrays: Its arrays, without those that the caller has anyway.
        structure: The tree structure of the pullback.
        indices: For each leaf of the tree, its index in the list of the caller's
            arrays followed by `arrays`.
    """

    arrays: list[jax.Array]
    structure: Any
    indices: tuple[int, ...]

    def pull(
        self, known: Any, cotangents: Any, *, measured: bool
    ) -> tuple[Any, dict[str, Any]]:
        """Call the pullback; return the cotangents and the logs of its taps.

        Args:
            known: The tree that `flatten_pullback` was given.
            cotangents: Those of the function's result.
            measured: Whether there are taps in the function.
        """
        arrays = [*jax.tree.leaves(known), *self.arrays]
        leaves = [arrays[index] for index in self.indices]
        pullback = jax.tree.unflatten(self.structure, leaves)
        if measured:
            return pullback.with_logs(cotangents)
        return pullback(cotangents), {}


def flatten_pullback(pullback: Any, known: Any) -> FlatPullback:
    """Take a pullback apart.

    Arrays are compared by identity: a value that two derivatives use is one object
    while JAX traces them.

    Args:
        pullback: The function that `jax.vjp` returns.
        known: Pytree of arrays that need not be stored.
    """
    leaves, structure = jax.tree.flatten(pullback)
    arrays = list(jax.tree.leaves(known))
    numbers = {id(array): number for number, array in enumerate(arrays)}
    count = len(arrays)
    for leaf in leaves:
        if numbers.setdefault(id(leaf), len(arrays)) == len(arrays):
            arrays.append(leaf)
    indices = tuple(numbers[id(leaf)] for leaf in leaves)
    return FlatPullback(arrays[count:], structure, indices)
