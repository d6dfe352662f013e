"""The floating-point arrays of a pytree, which derivatives pass through."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxnets.arguments import as_array, described


def check_arrays(name: str, tree: Any) -> None:
    """Raise a TypeError unless all leaves of `tree` are numbers, arrays or keys.

    Args:
        name: The name of the caller's argument.
        tree: A pytree.

    Example:
        >>> check_arrays("params", {"w": "abc"})
        Traceback (most recent call last):
        TypeError: `params['w']` is of type str; wanted an array of numbers.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        dtype = getattr(leaf, "dtype", None)
        numeric = isinstance(leaf, bool | int | float | complex)
        if dtype is not None:
            # JAX's own kinds of numbers, such as bfloat16 and keys, are no NumPy kinds.
            numeric = not isinstance(dtype, np.dtype) or dtype.kind not in "OSUMm"
        if not numeric:
            place = name + jax.tree_util.keystr(path)
            raise TypeError(
                f"`{place}` is {described(leaf)}; wanted an array of numbers."
            )


def leading_size(tree: Any) -> int | None:
    """Return the size of the first axis, if all arrays have the same and it is not 0.

    Example:
        >>> leading_size([jnp.ones((3, 2)), jnp.ones(3)]), leading_size(jnp.ones(()))
        (3, None)
    """
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(tree)}
    size = sizes.pop() if len(sizes) == 1 else ()
    return size[0] if size and size[0] else None


def as_floats(values: Any, name: str) -> Array:
    """Return `values` in float32 or float64; raise a TypeError for other kinds."""
    array = as_array(values, name)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"`{name}` has dtype {array.dtype}; wanted a floating-point array. Pass "
            "the values themselves, not counts or masks."
        )
    return array.astype(wide_dtype(array))


def split_inexact(tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """Return the floating-point leaves of `tree`, and a function that puts them back.

    A recurrent state may also hold counters, masks and random keys. They have no
    derivative, so the returned function keeps them.

    Example:
        >>> leaves, rebuild = split_inexact({"count": 3, "h": 0.5})
        >>> leaves
        [0.5]
        >>> rebuild([0.25])
        {'count': 3, 'h': 0.25}
    """
    leaves, structure = jax.tree.flatten(tree)
    inexact = [jnp.issubdtype(jax.dtypes.result_type(x), jnp.inexact) for x in leaves]

    def rebuild(replaced: list[Any]) -> Any:
        new = iter(replaced)
        mixed = [
            next(new) if is_inexact else leaf
            for leaf, is_inexact in zip(leaves, inexact, strict=True)
        ]
        return jax.tree.unflatten(structure, mixed)

    return [x for x, keep in zip(leaves, inexact, strict=True) if keep], rebuild


def unit_and_norm(leaves: list[Any]) -> tuple[list[Array], Float[Array, ""]]:
    """Divide `leaves` by their joint Euclidean norm; return them and the norm.

    The norm is computed in at least float32, after division by the largest entry, so
    that the squares stay in range. All-zero leaves stay zero, with norm zero.

    Example:
        >>> import jax.numpy as jnp
        >>> unit_and_norm([jnp.array([3e-30, 4e-30])])
        ([Array([0.6, 0.8], dtype=float32)], Array(5.e-30, dtype=float32))
    """
    wide = wide_dtype(*leaves)
    values = [jnp.asarray(leaf).astype(wide) for leaf in leaves]
    peak = jnp.max(jnp.stack([jnp.max(jnp.abs(v), initial=0.0) for v in values]))
    scaled = [v / one_for_zero(peak) for v in values]
    length = jnp.sqrt(sum(jnp.sum(jnp.square(jnp.abs(v))) for v in scaled))
    unit = [
        (v / one_for_zero(length)).astype(jnp.result_type(leaf))
        for v, leaf in zip(scaled, leaves, strict=True)
    ]
    return unit, peak * length


def wide_dtype(*arrays: Any) -> jnp.dtype:
    """Return the promoted dtype of the `arrays`, at least float32.

    Example:
        >>> import jax.numpy as jnp
        >>> wide_dtype(jnp.ones(3, jnp.bfloat16))
        dtype('float32')
    """
    # The promotion is intended, so it also works under strict promotion.
    with jax.numpy_dtype_promotion("standard"):
        dtypes = [jnp.result_type(array) for array in arrays]
        return functools.reduce(jnp.promote_types, dtypes, jnp.dtype(jnp.float32))


def one_for_zero(divisor: Array) -> Array:
    """Replace zeros by ones, so that zero divided by the result is zero."""
    return jnp.where(divisor == 0, jnp.ones_like(divisor), divisor)
