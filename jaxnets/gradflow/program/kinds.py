"""Which equations of a jaxpr are activations."""

import os
import pathlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import jax
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
# The directories of JAX and of this library's functions.
_JAX = os.path.dirname(jax.__file__) + os.sep
_FUNCTIONAL = os.path.join(str(pathlib.Path(__file__).parents[2]), "functional", "")


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
    # The result of a function in several equations is the one that others read.
    readers: defaultdict[Any, set[str]] = defaultdict(set)
    for eqn, part in zip(jaxpr.eqns, parts, strict=True):
        for atom in eqn.invars:
            if isinstance(atom, Var):
                readers[atom].add(part)
    found = {}
    for eqn, part in zip(jaxpr.eqns, parts, strict=True):
        kind = part or _kind(eqn)
        if not kind or len(eqn.outvars) != 1:
            continue
        result = eqn.outvars[0]
        ends = not part or result in jaxpr.outvars or readers[result] - {part}
        if ends and _is_floating(result):
            found[result] = KINDS[kind]
    return found


def _kind(eqn: JaxprEqn) -> str:
    """Return the activation that one equation computes, or an empty string."""
    name = equations.name_of(eqn)
    if name in ("jit", "pjit", "custom_jvp_call"):
        name = equations.params_of(eqn).get("name") or _name_of_call(eqn)
    elif name == "max" and any(_is_zero(atom) for atom in eqn.invars):
        # Flax's layers of normalisation keep the variance from being negative.
        name = "" if "flax" in _caller(eqn) else "relu"
    return name if name in KINDS else ""


def _name_of_call(eqn: JaxprEqn) -> str:
    """Return the name of the function in a `custom_jvp_call`."""
    body = equations.called(eqn)
    inner = [] if body is None else body.jaxpr.eqns
    return equations.params_of(inner[0]).get("name", "") if len(inner) == 1 else ""


def _written_in(eqn: JaxprEqn) -> str:
    """Return the function of `jax.nn` in which the equation was written.

    Some of these functions, such as `gelu` and `softmax`, are not jitted, so that no
    equation has their name.
    """
    for frame in _frames(eqn):
        if frame.function_name in KINDS and frame.file_name.endswith(_FILE):
            return frame.function_name
    return ""


def function_of(eqns: Sequence[JaxprEqn]) -> str:
    """Return the activation in which an equation stands, or an empty string.

    Args:
        eqns: The equation and the calls around it, innermost first.
    """
    names = (_kind(eqn) or _written_in(eqn) for eqn in eqns)
    return KINDS.get(next(filter(None, names), ""), "")


def is_ours(eqn: JaxprEqn) -> bool:
    """Return whether a function of this library made an equation."""
    return any(frame.file_name.startswith(_FUNCTIONAL) for frame in _frames(eqn))


def _caller(eqn: JaxprEqn) -> tuple[str, ...]:
    """Return the parts of the path of the innermost file outside of JAX."""
    files = (frame.file_name for frame in _frames(eqn))
    path = next((name for name in files if not name.startswith(_JAX)), "")
    return pathlib.PurePath(path).parts


def _frames(eqn: JaxprEqn) -> list[Any]:
    """Return the calls in which the equation was traced, innermost first."""
    traceback = eqn.source_info.traceback
    return [] if traceback is None else traceback.frames


def _is_zero(atom: Any) -> bool:
    is_number = equations.is_literal(atom) and jnp.ndim(atom.val) == 0
    return is_number and bool(atom.val == 0)


def _is_floating(variable: Any) -> bool:
    return jnp.issubdtype(getattr(variable.aval, "dtype", jnp.int32), jnp.floating)
