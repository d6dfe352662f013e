"""How the equations of a jaxpr open: the bodies of calls, loops and branches."""

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from jax.extend import source_info_util
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jax.stages import Traced

from jaxnets.platforms import default_platform
from jaxnets.tap import LogKey


# The derivative of these is zero. That of a comparison is zero too: its result is not a
# floating-point number.
STEPS = frozenset({"round", "floor", "ceil", "sign", "nextafter"})
COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "is_finite"})
# They take a part of an array.
SLICES = frozenset({"slice", "dynamic_slice", "gather", "split", "squeeze", "unstack"})
STOPS = "stop_gradient"
CALLS = ("jit", "pjit", "closed_call", "core_call")
CHECKPOINTS = ("remat2", "remat", "checkpoint")
# Derivatives of their own: what is inside does not say how a gradient passes.
CUSTOM = ("custom_jvp_call", "custom_vjp_call", "custom_lin")


# With `jax_custom_jvp3`, `jax_custom_vjp3` and `jax_remat3`, JAX 0.12 has one primitive
# for all of these. The class of its parameter `_prim` says which it is.
_UPGRADED = "call_hi_primitive"
_NAMES = {
    "CustomJVPTraced": "custom_jvp_call",
    "CustomVJPTraced": "custom_vjp_call",
    "RematTraced": "checkpoint",
}


class Body(NamedTuple):
    """A jaxpr inside an equation, with the arrays that it closes over.

    Attributes:
        jaxpr: The jaxpr.
        consts: The values of `jaxpr.constvars`.
    """

    jaxpr: Jaxpr
    consts: tuple[Any, ...]


class Counts(NamedTuple):
    """How many arguments and results of a scan are of each kind.

    Attributes:
        consts: Arguments that are the same in every step.
        carry: Arguments that each step replaces; the first results.
        xs: Arguments of which each step gets one slice.
        ys: Results of which each step makes one slice.
    """

    consts: int
    carry: int
    xs: int
    ys: int


def name_of(eqn: JaxprEqn) -> str:
    """Return the name of the primitive of an equation."""
    name = eqn.primitive.name
    if name != _UPGRADED:
        return name
    own = type(eqn.params["_prim"]).__name__
    return _NAMES.get(own, own)


def params_of(eqn: JaxprEqn) -> dict[str, Any]:
    """Return the parameters of the primitive of an equation."""
    if eqn.primitive.name != _UPGRADED:
        return eqn.params
    own = eqn.params["_prim"]
    # JAX 0.12 prints these, in which a body is not yet a jaxpr; JAX 0.11 has no others.
    params = own.pp_params() if hasattr(own, "pp_params") else own.params
    return {
        name: value.jaxpr if isinstance(value, Traced) else value
        for name, value in params.items()
    }


def as_body(jaxpr: Any) -> Body:
    """Return a jaxpr, which may be closed, as a `Body`."""
    return Body(getattr(jaxpr, "jaxpr", jaxpr), tuple(getattr(jaxpr, "consts", ())))


def bodies(eqn: JaxprEqn) -> list[Body]:
    """Return the bodies of a call, a scan or a `cond`; none of other equations."""
    name = name_of(eqn)
    if name == "scan":
        return [as_body(eqn.params["jaxpr"])]
    if name == "cond":
        return branches(eqn)
    body = called(eqn)
    return [] if body is None else [body]


def called(eqn: JaxprEqn) -> Body | None:
    """Return the body of an equation that only calls it, such as `jit`.

    It is None for all other equations, also for loops and branches.
    """
    if eqn.primitive.name in ("scan", "while", "cond", "pallas_call"):
        return None
    params = params_of(eqn)
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if hasattr(getattr(params.get(name), "jaxpr", params.get(name)), "eqns"):
            body = as_body(params[name])
            same = len(body.jaxpr.invars) == len(eqn.invars)
            return (
                body if same and len(body.jaxpr.outvars) == len(eqn.outvars) else None
            )
    return None


def tap_name(eqn: JaxprEqn) -> str:
    """Return the name of the tap in an equation of it, without a number."""
    return LogKey.parse(f"{eqn.params['key']}.1").name


def scan_counts(eqn: JaxprEqn) -> Counts:
    """Return the kinds of the arguments and results of a scan, from their shapes."""
    body = as_body(eqn.params["jaxpr"]).jaxpr
    rank = lambda variable: len(getattr(variable.aval, "shape", ()))
    sliced = lambda outer, inner: sum(
        rank(a) != rank(b) for a, b in zip(outer, inner, strict=True)
    )
    xs = sliced(eqn.invars, body.invars)
    ys = sliced(eqn.outvars, body.outvars)
    carry = len(eqn.outvars) - ys
    return Counts(len(eqn.invars) - carry - xs, carry, xs, ys)


def branches(eqn: JaxprEqn) -> list[Body]:
    """Return the branches of a `cond`, of which one may run.

    Of a choice by platform it is only the one for JAX's default device.
    """
    bodies = [as_body(branch) for branch in eqn.params["branches"]]
    platforms = eqn.params.get("branches_platforms")
    if not platforms:
        return bodies
    here = default_platform()
    fits = [names is None or here in names for names in platforms]
    return [bodies[fits.index(True) if True in fits else -1]]


def evaluate(eqn: JaxprEqn, arguments: Sequence[Any]) -> list[Any]:
    """Return the results of an equation."""
    bound = eqn.primitive.get_bind_params(eqn.params)
    # Until JAX 0.11 the functions inside an equation were arguments of it.
    functions, params = bound if isinstance(bound, tuple) else ((), bound)
    with written_at(eqn), eqn.ctx.manager:
        results = eqn.primitive.bind(*functions, *arguments, **params)
    # With the switches named above, the results may be in a container of JAX's own.
    return list(results) if eqn.primitive.multiple_results else [results]


def written_at(eqn: JaxprEqn) -> contextlib.AbstractContextManager[None]:
    """Return a context in which equations get the lines of code of `eqn`."""
    names = source_info_util.current_name_stack() + eqn.source_info.name_stack
    traceback = eqn.source_info.traceback
    return source_info_util.user_context(traceback, name_stack=names)


def is_literal(atom: Any) -> bool:
    """Return whether `atom` is a constant that stands in the equation itself."""
    return isinstance(atom, Literal)
