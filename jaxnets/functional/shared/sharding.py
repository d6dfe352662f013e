"""Arrays that are sharded over the devices of a mesh.

Under `jax.jit` XLA partitions the program, and nothing has to be done. In two other
cases the type of an array says how it is sharded, and rules of differentiation and
operations that change axes have to respect this. In `jax.shard_map` the type has the
mesh axes over which the array varies. On a mesh with explicit axes it has the mesh axes
over which each axis of the array is sharded.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Shaped


def match_varying_axes(*trees: Any) -> tuple[Any, ...]:
    """Let all arrays vary over the mesh axes over which one of them varies.

    Inside `jax.shard_map`, parameters are the same on every device and inputs are not.
    JAX sums the cotangents of such parameters over the devices where they are
    converted: here once, rather than in every step of a loop.

    Args:
        trees: Pytrees of arrays.

    Example:
        >>> match_varying_axes(jnp.ones(2), None)
        (Array([1., 1.], dtype=float32), None)
    """
    axes = frozenset[str]().union(*map(_varying_axes, jax.tree.leaves(trees)))
    return jax.tree.map(lambda leaf: _vary(leaf, axes), trees) if axes else trees


def shard_like(tree: Any, like: Any, axes: Iterable[int]) -> Any:
    """Shard arrays as `like`, and let them vary over the same mesh axes.

    Args:
        tree: Pytree of arrays.
        like: An array, or the abstract one that `jax.eval_shape` returns.
        axes: The axes of `like` that the first axes of the arrays correspond to. The
            sharding of all other axes stays.

    Example:
        >>> shard_like(jnp.zeros(2), jnp.ones((3, 2)), [1])
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


def expand_rank(v: Any, ndim: int) -> jax.Array:
    """Return `v` with leading axes of size 1, so that it has `ndim` axes.

    If it were broadcast to the shape of a sharded array instead, each device would need
    the cotangents of all shards.

    Example:
        >>> expand_rank(jnp.ones(2), 3).shape
        (1, 1, 2)
    """
    return jnp.expand_dims(v, tuple(range(ndim - jnp.ndim(v))))


def partition_spec(x: Shaped[Array, "..."]) -> tuple[Any, ...]:
    """Return for each axis of `x` the explicit mesh axes that shard it, or None.

    Example:
        >>> partition_spec(jnp.ones((2, 3)))
        (None, None)
    """
    return tuple(jax.typeof(x).sharding.spec)


def call_with_auto_axes(
    function: Callable[..., jax.Array],
    arrays: tuple[jax.Array, ...],
    result: tuple[Any, ...],
) -> jax.Array:
    """Return `function(*arrays)`, computed with the explicit mesh axes as auto axes.

    On a mesh with explicit axes JAX raises an error for operations, such as reshapes
    and sums over a sharded batch, whose result can be sharded in several ways. Here XLA
    chooses inside the function, and only the sharding of the result is given. Without
    explicit axes the function is just called.

    Args:
        function: The function of the arrays.
        arrays: Its arguments.
        result: The sharding of the result, in the form that `partition_spec` returns.

    Example:
        >>> call_with_auto_axes(jnp.sin, (jnp.zeros(2),), (None,))
        Array([0., 0.], dtype=float32)
    """
    meshes = [jax.typeof(array).sharding.mesh for array in arrays]
    mesh = next((mesh for mesh in meshes if mesh.explicit_axes), None)
    if mesh is None:
        return function(*arrays)
    sharding = NamedSharding(mesh, PartitionSpec(*result))
    run: Any = jax.sharding.auto_axes(
        function, axes=mesh.explicit_axes, out_sharding=sharding
    )
    return run(*arrays)


def _vary(array: Any, axes: frozenset[str]) -> Any:
    missing = tuple(sorted(axes - _varying_axes(array)))
    return jax.lax.pcast(array, missing, to="varying") if missing else array


def _varying_axes(array: Any) -> frozenset[str]:
    kind = _type(array).manual_axis_type
    return frozenset() if kind is None else kind.varying


def _type(array: Any) -> Any:
    return array if isinstance(array, jax.ShapeDtypeStruct) else jax.typeof(array)
