"""Arrays that are distributed over the devices of a mesh.

Under `jax.jit` XLA divides a program among devices, and nothing has to be done. Two
other ways put the distribution into the types of arrays, where rules of differentiation
and operations that change axes have to respect it: `jax.shard_map`, with the mesh axes
that an array varies over, and meshes with explicit axes, with the mesh axes that an
axis of an array is divided over.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Shaped


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


def partition(x: Shaped[Array, "..."]) -> tuple[Any, ...]:
    """Return for each axis of `x` the explicit mesh axes that divide it, or None.

    Example:
        >>> import jax.numpy as jnp
        >>> partition(jnp.ones((2, 3)))
        (None, None)
    """
    return tuple(jax.typeof(x).sharding.spec)


def divided_by_xla(
    function: Callable[..., jax.Array],
    arrays: tuple[jax.Array, ...],
    result: tuple[Any, ...],
) -> jax.Array:
    """Return `function(*arrays)`, where XLA divides the program also on explicit axes.

    On a mesh with explicit axes JAX refuses operations, such as sums over a divided
    batch and reshapes, for which it does not know how the result is divided. Here only
    the result of the function, and the cotangents of its arguments, have to be known.
    Without explicit axes it just calls the function.

    Args:
        function: The function of the arrays.
        arrays: Its arguments.
        result: How the axes of the result are divided, as `partition` returns it.

    Example:
        >>> import jax.numpy as jnp
        >>> divided_by_xla(jnp.sin, (jnp.zeros(2),), (None,))
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
