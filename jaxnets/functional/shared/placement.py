"""Types of arrays on meshes, and how one array takes them from another.

On a mesh with explicit axes, the type of an array says along which mesh axes it is
sharded; inside `jax.shard_map`, it says along which of them its values vary. Both are
part of the type of a loop's state. So a state of zeros needs the types of the inputs.
Without a mesh, all functions of this file return their arguments.
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec


def varying_alike(*trees: Any) -> tuple[Any, ...]:
    """Let all arrays vary over the mesh axes along which one of them varies.

    Inside `jax.shard_map`, parameters are the same on every device and inputs are not.
    JAX sums the cotangents of such parameters over the devices where they are
    converted: here once, rather than in every step of a loop.

    Args:
        trees: Pytrees of arrays.

    Example:
        >>> varying_alike(jnp.ones(2), None)
        (Array([1., 1.], dtype=float32), None)
    """
    axes = frozenset[str]().union(*map(_varying_axes, jax.tree.leaves(trees)))
    return jax.tree.map(lambda leaf: _vary(leaf, axes), trees) if axes else trees


def placed_alike(tree: Any, like: Any, axes: Iterable[int]) -> Any:
    """Place arrays as `like`: on the same shards, and varying over the same mesh axes.

    Args:
        tree: Pytree of arrays.
        like: An array, or the abstract one that `jax.eval_shape` returns.
        axes: The axes of `like` that the first axes of the arrays correspond to. The
            sharding of all other axes stays.

    Example:
        >>> placed_alike(jnp.zeros(2), jnp.ones((3, 2)), [1])
        Array([0., 0.], dtype=float32)
    """
    sharding: Any = _type(like).sharding  # None without a mesh, if `like` is abstract
    sources = [sharding.spec[axis] for axis in axes] if sharding else []

    def place(array: Any) -> Any:
        own = tuple(jax.typeof(array).sharding.spec)
        spec = (*sources, *own[len(sources) :])[: len(own)]
        if spec != own:
            placement = NamedSharding(sharding.mesh, PartitionSpec(*spec))
            array = jax.sharding.reshard(array, placement)
        return _vary(array, _varying_axes(like))

    return jax.tree.map(place, tree)


def with_axes_of(array: Any, v: Any) -> jax.Array:
    """Return `v` with leading axes of size 1, so that it broadcasts to `array`.

    If it were broadcast to the shape of a sharded array, each device would need the
    cotangents of all shards.

    Example:
        >>> with_axes_of(jnp.ones((4, 3, 2)), jnp.ones(2)).shape
        (1, 1, 2)
    """
    return jnp.expand_dims(v, tuple(range(array.ndim - jnp.ndim(v))))


def time_first(axis: int, batch_ndim: int) -> list[int]:
    """Return the time axis and the batch axes of an array with time on `axis`.

    Example:
        >>> time_first(2, 2)
        [2, 0, 1]
    """
    return [axis, *(i for i in range(batch_ndim + 1) if i != axis)]


def _vary(array: Any, axes: frozenset[str]) -> Any:
    missing = tuple(sorted(axes - _varying_axes(array)))
    return jax.lax.pcast(array, missing, to="varying") if missing else array


def _varying_axes(array: Any) -> frozenset[str]:
    kind = _type(array).manual_axis_type
    return frozenset() if kind is None else kind.varying


def _type(array: Any) -> Any:
    return array if isinstance(array, jax.ShapeDtypeStruct) else jax.typeof(array)
