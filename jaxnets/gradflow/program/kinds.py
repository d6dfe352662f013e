"""Which equations of a jaxpr are activations."""

import os
from typing import Any

import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Var

from jaxnets.gradflow.program import equations


# The functions of `jax.nn` and the primitives, and what they are called here.
KINDS = {
    "celu": "celu",
    "elu": "elu",
    "gelu": "gelu",
    "glu": "glu",
    "hard_sigmoid": "hard_sigmoid",
    "hard_silu": "hard_silu",
    "hard_tanh": "hard_tanh",
    "leaky_relu": "leaky_relu",
    "logistic": "sigmoid",
    "mish": "mish",
    "relu": "relu",
    "relu6": "relu6",
    "selu": "selu",
    "silu": "silu",
    "softmax": "softmax",
    "softplus": "softplus",
    "tanh": "tanh",
}


# The file of JAX that they are written in.
_FILE = os.path.join("_src", "nn", "functions.py")


def activations(jaxpr: Jaxpr) -> dict[Var, str]:
    """Return the results of activations among the equations of `jaxpr`, by their kind.

    Those in the bodies of calls and loops are not among them.

    Example:
        >>> import jax
        >>> program = jax.make_jaxpr(lambda x: jax.nn.softmax(jax.nn.relu(x)))(
        ...     jnp.ones(3)
        ... )
        >>> list(activations(program.jaxpr).values())
        ['relu', 'softmax']
    """
    parts = [_written_in(eqn) for eqn in jaxpr.eqns]
    # The last equation of a function in several equations is one whose result is used
    # outside of the function.
    inside: dict[Var, set[str]] = {}
    for eqn, part in zip(jaxpr.eqns, parts, strict=True):
        for atom in eqn.invars:
            if isinstance(atom, Var):
                inside.setdefault(atom, set()).add(part)
    found = {}
    for eqn, part in zip(jaxpr.eqns, parts, strict=True):
        kind = part or _kind(eqn)
        (result, *others) = eqn.outvars or [None]
        if not kind or others or not _is_floating(result):
            continue
        if not part or result in jaxpr.outvars or inside.get(result, set()) - {part}:
            found[result] = KINDS[kind]
    return found


def _kind(eqn: JaxprEqn) -> str:
    """Return the activation that one equation computes, or an empty string."""
    name = eqn.primitive.name
    if name in ("jit", "pjit", "custom_jvp_call"):
        name = eqn.params.get("name") or _name_of_call(eqn)
    elif name == "max" and any(_is_zero(atom) for atom in eqn.invars):
        name = "relu"
    return name if name in KINDS else ""


def _name_of_call(eqn: JaxprEqn) -> str:
    """Return the name of the function in a `custom_jvp_call`."""
    body = equations.called(eqn)
    inner = [] if body is None else body.jaxpr.eqns
    return inner[0].params.get("name", "") if len(inner) == 1 else ""


def _written_in(eqn: JaxprEqn) -> str:
    """Return the function of `jax.nn` in which the equation was written.

    Some of these functions, such as `gelu` and `softmax`, are not jitted, so that no
    equation has their name.
    """
    traceback = eqn.source_info.traceback
    for frame in [] if traceback is None else traceback.frames:
        if frame.function_name in KINDS and frame.file_name.endswith(_FILE):
            return frame.function_name
    return ""


def _is_zero(atom: Any) -> bool:
    return equations.is_literal(atom) and jnp.ndim(atom.val) == 0 and atom.val == 0


def _is_floating(variable: Any) -> bool:
    return jnp.issubdtype(getattr(variable.aval, "dtype", jnp.int32), jnp.floating)
