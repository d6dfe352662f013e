"""A cache of compiled programs, in which equal jaxprs share one program.

The key of JAX's own cache is the identity of the function, so functions that are made
anew in each call compile in each call. Here the key is what the program computes.
"""

from typing import Any

import jax
import numpy as np
from jax.core import eval_jaxpr
from jax.extend.core import ClosedJaxpr, Jaxpr  # pyright: ignore[reportPrivateImportUsage]


# The compiled programs by the keys of their jaxprs, the most recently used one last.
_PROGRAMS: dict[Any, Any] = {}
_MOST_PROGRAMS = 256


def run_jaxpr(
    closed: ClosedJaxpr,
    arguments: list[jax.Array],
    compiler_options: dict[str, Any] | None = None,
) -> list[jax.Array]:
    """Return the results of a jaxpr, compiled once for all that compute the same.

    The arrays that it closes over are arguments of the program, so they may differ.
    A jaxpr with a function inside, such as the derivative of `jax.custom_jvp`, compiles
    in each call, since two such functions cannot be compared.

    Args:
        closed: What `jax.make_jaxpr` returns.
        arguments: Its arguments, as a flat list.
        compiler_options: As in `jax.jit`. They are used if the program is not cached.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.ones(2)
        >>> run_jaxpr(jax.make_jaxpr(lambda x: 2 * x)(x), [x])
        [Array([2., 2.], dtype=float32)]
    """
    jaxpr = closed.jaxpr
    try:
        key = _key(jaxpr)
        program = _PROGRAMS.pop(key, None)
    except TypeError:  # A parameter of an equation has no hash, or is a function.
        key = program = None
    if program is None:
        run = lambda consts, arguments: eval_jaxpr(jaxpr, consts, *arguments)
        program = jax.jit(run, compiler_options=compiler_options)
    if key is not None:
        _PROGRAMS[key] = program
    if len(_PROGRAMS) > _MOST_PROGRAMS:
        del _PROGRAMS[next(iter(_PROGRAMS))]
    return program(closed.consts, arguments)


def _key(jaxpr: Jaxpr) -> Any:
    """Return a key that two jaxprs share only if they compute the same.

    The text of a jaxpr would not do: it leaves out the values of arrays.
    """
    numbers: dict[Any, int] = {}

    def atom(value: Any) -> Any:
        if hasattr(value, "val"):
            return _part(value.val), str(value.aval)
        return numbers.setdefault(value, len(numbers)), str(value.aval)

    atoms = lambda values: tuple(map(atom, values))
    inputs = atoms(jaxpr.constvars), atoms(jaxpr.invars)
    equations = tuple(
        (e.primitive, atoms(e.invars), atoms(e.outvars), _part(e.params))
        for e in jaxpr.eqns
    )
    return inputs, equations, atoms(jaxpr.outvars)


def _part(value: Any) -> Any:
    """Return a parameter of an equation in a form that can be compared and hashed."""
    if isinstance(value, ClosedJaxpr):
        return _key(value.jaxpr), _part(tuple(value.consts))
    if isinstance(value, Jaxpr):
        return _key(value)
    if isinstance(value, dict):
        return tuple((name, _part(value[name])) for name in sorted(value))
    if isinstance(value, tuple | list):
        return type(value), *map(_part, value)
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.asarray(value)
        return str(array.dtype), array.shape, array.tobytes()
    if callable(value) and not isinstance(value, type | jax.sharding.Mesh):
        raise TypeError(f"{value} cannot be compared by what it computes.")
    if isinstance(value, float):
        # NaN is equal to no number, and 0.0 to -0.0.
        return type(value), value.hex()
    # The type is part of the key, because 1 == 1.0 == True.
    return type(value), value
