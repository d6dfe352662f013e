"""Arrays that are distributed over the devices of a mesh.

Under `jax.jit` XLA divides a program among devices, and nothing has to be done. Two
other ways put the distribution into the types of arrays, where rules of differentiation
and operations that change axes have to respect it: `jax.shard_map`, with the mesh axes
that an array varies over, and meshes with explicit axes, with the mesh axes that an
axis of an array is divided over.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Shaped


def same_varying_axes(*arrays: Shaped[Array, "..."]) -> tuple[jax.Array, ...]:
    """Return `arrays` so that all vary over the same mesh axes of `jax.shard_map`.

    These are the axes that any of them varies over. A rule that gives the cotangent of
    an argument computes it from all arguments, so that it varies over all their axes.
    JAX wants it to vary as the argument does. If the argument is converted before the
    rule applies, JAX adds up the cotangents over the other axes.

    Example:
        >>> import jax.numpy as jnp
        >>> x, kernel = same_varying_axes(jnp.ones(3), jnp.ones(2))  # no shard_map
        >>> x.shape, kernel.shape
        ((3,), (2,))
    """
    found = [jax.typeof(array).manual_axis_type.varying for array in arrays]
    union = frozenset().union(*found)
    return tuple(
        jax.lax.pcast(array, tuple(sorted(union - axes)), to="varying")
        if union - axes
        else array
        for array, axes in zip(arrays, found, strict=True)
    )


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
