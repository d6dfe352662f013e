"""Construction of a module by one compiled program that draws all its parameters."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.core import Tracer, eval_jaxpr
from jax.extend.core import ClosedJaxpr, Jaxpr  # pyright: ignore[reportPrivateImportUsage]


# XLA's compiler for CPUs takes ten times longer at its default level, most of it for
# the bits of random numbers, and the program then runs no faster.
_CPU_OPTIONS = {"xla_backend_optimization_level": 1}
# The compiled programs by the keys of their jaxprs, the last one used at the end.
_PROGRAMS: dict[Any, Callable[..., Any]] = {}
_MOST_PROGRAMS = 256


def in_one_program[M: nnx.Module](construct: Callable[[Any], M], rngs: Any) -> M:
    """Return `construct(rngs)`, with all arrays computed by one compiled program.

    Without it JAX compiles every operation of every initialiser on its own. The
    constructor is traced in each call, so its checks run in each call. Another module
    whose parameters are drawn in the same way reuses the program.

    The constructor runs as it is if `rngs` is traced, since a program is then being
    made already; if a mesh is set or a parameter has a sharding, since Flax then places
    the parameters itself; and if tracing it raises an error, either its own, or one of
    an initialiser that needs the value of its key.
    """
    if not isinstance(rngs, nnx.Rngs) or jax.config.jax_disable_jit:
        return construct(rngs)
    definition, state = nnx.split(rngs)
    leaves, structure = jax.tree.flatten(state)
    if any(isinstance(leaf, Tracer) for leaf in leaves) or _mesh_is_set():
        return construct(rngs)
    constructed: list[Any] = []

    def draw(*leaves: jax.Array) -> Any:
        own = nnx.merge(definition, jax.tree.unflatten(structure, leaves))
        constructed[:] = nnx.split((construct(own), own))
        return constructed[1]

    try:
        closed, shapes = jax.make_jaxpr(draw, return_shape=True)(*leaves)
        key = _key(closed.jaxpr)
        hash(key)
    except Exception:
        closed = None
    if closed is None or _has_sharding(constructed[1]):
        return construct(rngs)
    arrays = _program(key, closed.jaxpr)(closed.consts, leaves)
    state = jax.tree.unflatten(jax.tree.structure(shapes), arrays)
    module, advanced = nnx.merge(constructed[0], state)
    nnx.update(rngs, nnx.state(advanced))
    return module


def _program(key: Any, jaxpr: Jaxpr) -> Callable[..., Any]:
    """Return the compiled program of a jaxpr, from an earlier call if there is one."""
    program = _PROGRAMS.pop(key, None)
    if program is None:
        run = lambda consts, leaves: eval_jaxpr(jaxpr, consts, *leaves)
        on_cpu = jax.default_backend() == "cpu"
        program = jax.jit(run, compiler_options=_CPU_OPTIONS if on_cpu else None)
    _PROGRAMS[key] = program
    if len(_PROGRAMS) > _MOST_PROGRAMS:
        del _PROGRAMS[next(iter(_PROGRAMS))]
    return program


def _key(jaxpr: Jaxpr) -> Any:
    """Return what two jaxprs have in common exactly if they compute the same.

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
    # As 1 == 1.0 == True.
    return type(value), value


def _has_sharding(state: Any) -> bool:
    """Return whether a variable has been given a sharding."""
    is_variable = lambda leaf: isinstance(leaf, nnx.Variable)
    variables = filter(is_variable, jax.tree.leaves(state, is_leaf=is_variable))
    return any(v.get_metadata().get("out_sharding") for v in variables)


def _mesh_is_set() -> bool:
    return not jax.sharding.get_abstract_mesh().empty
