"""What a pullback holds, each array once, so that a scan can stack it over time."""

import dataclasses
import functools
from typing import Any

import jax


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["arrays"],
    meta_fields=["structure", "places"],
)
@dataclasses.dataclass(frozen=True)
class Kept:
    """A pullback of `jax.vjp`, taken apart.

    Attributes:
        arrays: Its arrays, each once, without those that the caller has anyway.
        structure: The tree that the pullback is.
        places: For each leaf of the tree, its number in what the caller has, followed
            by `arrays`.
    """

    arrays: list[jax.Array]
    structure: Any
    places: tuple[int, ...]

    def pull(
        self, known: Any, cotangents: Any, *, measured: bool
    ) -> tuple[Any, dict[str, Any]]:
        """Call the pullback; return the cotangents, and what the taps have logged.

        Args:
            known: What `keep` was given.
            cotangents: Of the function's result.
            measured: Whether there are taps in it.
        """
        arrays = [*jax.tree.leaves(known), *self.arrays]
        leaves = [arrays[place] for place in self.places]
        pullback = jax.tree.unflatten(self.structure, leaves)
        if measured:
            return pullback.with_logs(cotangents)
        return pullback(cotangents), {}


def keep(pullback: Any, known: Any) -> Kept:
    """Take a pullback apart.

    Arrays are told apart by identity: the same value that two derivatives need is one
    object while JAX traces them.

    Args:
        pullback: As `jax.vjp` returns it.
        known: Pytree of arrays that need not be kept.
    """
    leaves, structure = jax.tree.flatten(pullback)
    arrays = list(jax.tree.leaves(known))
    numbers = {id(array): number for number, array in enumerate(arrays)}
    count = len(arrays)
    for leaf in leaves:
        if numbers.setdefault(id(leaf), len(arrays)) == len(arrays):
            arrays.append(leaf)
    places = tuple(numbers[id(leaf)] for leaf in leaves)
    return Kept(arrays[count:], structure, places)
