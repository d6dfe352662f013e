"""Construction of a module by one compiled program that draws all its parameters."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax.core import Tracer

from jaxnets.programs import run_jaxpr


# At its default level XLA's compiler for CPUs takes 24 s of CPU time for ResNet-20, and
# 3.5 s at this one (two cores, JAX 0.12.0.1); the program runs in 0.2 s either way.
_CPU_OPTIONS = {"xla_backend_optimization_level": 1}


def construct_compiled[M: nnx.Module](construct: Callable[[Any], M], rngs: Any) -> M:
    """Return `construct(rngs)`, with all arrays computed by one compiled program.

    Without it JAX compiles every operation of every initialiser on its own. The
    constructor is traced in each call, so its checks run in each call. Another module
    whose parameters are drawn in the same way reuses the program.

    In these cases `construct(rngs)` is just called:

    - `rngs` is traced, so the call is part of another program already;
    - a mesh is set or a parameter has a sharding, so Flax shards the parameters itself;
    - tracing raises an error, such as one of the constructor's checks, or that of an
      initialiser which needs the value of its key.
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
    except Exception:
        closed = None
    if closed is None or _has_sharding(constructed[1]):
        return construct(rngs)
    on_cpu = jax.default_backend() == "cpu"
    arrays = run_jaxpr(closed, leaves, _CPU_OPTIONS if on_cpu else None)
    state = jax.tree.unflatten(jax.tree.structure(shapes), arrays)
    module, advanced = nnx.merge(constructed[0], state)
    nnx.update(rngs, nnx.state(advanced))
    return module


def _has_sharding(state: Any) -> bool:
    """Return whether a variable has been given a sharding."""
    is_variable = lambda leaf: isinstance(leaf, nnx.Variable)
    variables = filter(is_variable, jax.tree.leaves(state, is_leaf=is_variable))
    return any(v.get_metadata().get("out_sharding") for v in variables)


def _mesh_is_set() -> bool:
    return not jax.sharding.get_abstract_mesh().empty
