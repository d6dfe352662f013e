"""Pullbacks in a form that a scan can stack over time, without duplicate arrays."""

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
    """A pullback of `jax.vjp` with each of its residuals once.

    Attributes:
        arrays: The residuals, without the arrays that the caller stores anyway.
        structure: The tree structure of the pullback.
        indices: For each leaf of the pullback, its index in the list of the caller's
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
            known: The tree that was passed to `flatten_pullback`.
            cotangents: The cotangents of the function's result.
            measured: Whether the function has taps that are measured.
        """
        arrays = [*jax.tree.leaves(known), *self.arrays]
        leaves = [arrays[index] for index in self.indices]
        pullback = jax.tree.unflatten(self.structure, leaves)
        if measured:
            return pullback.with_logs(cotangents)
        return pullback(cotangents), {}


def flatten_pullback(pullback: Any, known: Any) -> FlatPullback:
    """Return a pullback with each of its residuals once.

    Arrays are compared by identity: while JAX traces, a value that two derivatives use
    is one object.

    Args:
        pullback: The function that `jax.vjp` returns.
        known: Pytree of arrays that the caller stores anyway.
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
