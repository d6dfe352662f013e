"""Recurrences that are called outside of `jax.jit` compile once for each shape.

JAX recognises the body of a loop by the identity of its function. A call makes new
functions, so outside of `jax.jit` each call would compile, and JAX would keep every
compiled program. Here the call as a whole is one program, cached by its options.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxnets.functional.recurrence.activations import has_slope
from jaxnets.programs import run_jaxpr
from jaxnets.tap import is_measuring


def _in_jit_or_measured() -> bool:
    """Return whether a call is traced as part of a larger program, or measured.

    While JAX traces for `jax.jit`, a loop or `jax.eval_shape`, even constants are
    tracers.
    """
    return is_measuring() or isinstance(jnp.zeros(()), Tracer)


def run_compiled(
    run: Callable[..., Any], fixed: tuple[Any, ...], arguments: tuple[Any, ...]
) -> Any:
    """Return `run(*fixed, *arguments)`, compiled once for equal options and shapes.

    Inside of `jax.jit`, and while something measures, `run` is just called.

    Args:
        run: A function of a module.
        fixed: Constants of modules, such as the description of a cell.
        arguments: Pytrees of arrays and options.
    """
    if _in_jit_or_measured():
        return run(*fixed, *arguments)
    leaves, structure = jax.tree.flatten(arguments)
    is_array = [isinstance(leaf, jax.Array | np.ndarray) for leaf in leaves]
    arrays = [a for a, found in zip(leaves, is_array, strict=True) if found]
    options = tuple(
        None if found else (type(leaf), leaf)
        for leaf, found in zip(leaves, is_array, strict=True)
    )
    key = run, _ByIdentity(fixed), structure, options
    # The program of an unknown function is not kept: what it closes over may change.
    functions: list[Any] = [o[1] for o in options if o and callable(o[1])]
    known = all(map(has_slope, functions))
    return (_program if known else _program.__wrapped__)(*key)(arrays)


class _ByIdentity(tuple[Any, ...]):
    """A tuple that is equal to one with the same objects."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return list(map(id, self)) == list(map(id, other))  # pyright: ignore

    def __hash__(self) -> int:
        return hash(tuple(map(id, self)))


@functools.lru_cache(maxsize=128)
def _program(run, fixed, structure, options) -> Callable[[list[Any]], Any]:
    """Return the compiled function of the arrays; `options` is None in their places."""

    def call(arrays: list[Any]) -> Any:
        left = iter(arrays)
        leaves = [next(left) if o is None else o[1] for o in options]
        return run(*fixed, *jax.tree.unflatten(structure, leaves))

    return jax.jit(call)


def run_traced(run: Callable[..., Any], *arrays: Any) -> Any:
    """Return `run(*arrays)`, where `run` calls a function of the user.

    The call is traced each time. It is compiled again if its program has changed, or
    contains a function with a derivative of its own, such as `jax.nn.relu`. Inside of
    `jax.jit`, and while something measures, `run` is just called.
    """
    if _in_jit_or_measured():
        return run(*arrays)
    jaxpr, shapes = jax.make_jaxpr(run, return_shape=True)(*arrays)
    results = run_jaxpr(jaxpr, jax.tree.leaves(arrays))
    return jax.tree.unflatten(jax.tree.structure(shapes), results)
