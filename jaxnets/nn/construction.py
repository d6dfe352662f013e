"""Construction of a module by one compiled program that draws all its parameters."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax.core import Tracer, eval_jaxpr


# XLA's compiler for CPUs takes ten times longer at its default level, most of it for
# the bits of random numbers, and the program then runs no faster.
_CPU_OPTIONS = {"xla_backend_optimization_level": 1}
# The compiled programs by the text of their jaxpr, the last one used at the end.
_PROGRAMS: dict[str, tuple[Any, Callable[..., Any]]] = {}
_MOST_PROGRAMS = 256


def in_one_program[M: nnx.Module](construct: Callable[[Any], M], rngs: Any) -> M:
    """Return `construct(rngs)`, with all arrays computed by one compiled program.

    Without it JAX compiles every operation of every initialiser on its own. The
    constructor is traced in each call, so its checks run in each call. Another module
    whose parameters are drawn in the same way reuses the program.

    The constructor runs as it is if `rngs` is traced, since a program is then being
    made already; if a mesh is set or a parameter has a sharding, since the text of a
    jaxpr does not name devices; and if tracing it raises an error, either its own, or
    one of an initialiser that needs the value of its key.
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
        jaxpr, shapes = jax.make_jaxpr(draw, return_shape=True)(*leaves)
    except Exception:
        jaxpr, shapes = None, None
    text = str(jaxpr)
    if jaxpr is None or "sharding_constraint" in text:
        return construct(rngs)
    arrays = _program(text, jaxpr)(jaxpr.consts, leaves)
    state = jax.tree.unflatten(jax.tree.structure(shapes), arrays)
    module, advanced = nnx.merge(constructed[0], state)
    nnx.update(rngs, nnx.state(advanced))
    return module


def _program(text: str, jaxpr: Any) -> Callable[..., Any]:
    """Return the compiled program of a jaxpr, from an earlier call if there is one."""
    kept = _PROGRAMS.pop(text, None)
    if kept is None:
        run = lambda consts, leaves: eval_jaxpr(jaxpr.jaxpr, consts, *leaves)
        on_cpu = jax.default_backend() == "cpu"
        program = jax.jit(run, compiler_options=_CPU_OPTIONS if on_cpu else None)
        # With the jaxpr the objects stay alive whose addresses its text may have.
        kept = (jaxpr.jaxpr, program)
    _PROGRAMS[text] = kept
    if len(_PROGRAMS) > _MOST_PROGRAMS:
        del _PROGRAMS[next(iter(_PROGRAMS))]
    return kept[1]


def _mesh_is_set() -> bool:
    return not jax.sharding.get_abstract_mesh().empty
