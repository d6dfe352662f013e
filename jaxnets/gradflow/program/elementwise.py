"""Functions of one number each that follow a tap: activations without a known name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jax.extend.core import Jaxpr, JaxprEqn, Var

from jaxnets.gradflow.program import equations
from jaxnets.tap import TAP


_NAMES = (
    "abs add asinh atan atan2 clamp convert_element_type copy cos div erf erfc exp "
    "exp2 expm1 ge gt integer_pow le log log1p logistic lt max min mul ne neg pow "
    "rsqrt select_n sign sin sqrt square sub tan tanh"
)
_ELEMENTWISE = frozenset(_NAMES.split())


class Elementwise(NamedTuple):
    """A function of one array that acts on each of its numbers.

    Attributes:
        start: The variable of the tapped array.
        function: `function(x)` for an array of that shape.
    """

    start: Var
    function: Callable[[Any], Any]


def elementwise_after_taps(jaxpr: Jaxpr) -> dict[Var, Elementwise]:
    """Return the results of elementwise functions of tapped arrays, at their ends.

    A function ends where something else reads its result, such as a product with
    weights. Only the equations of this jaxpr are looked at, with the calls among them.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.tap import record_taps, tap
        >>> def loss(x):
        ...     x = tap(x, "x")
        ...     return jnp.sum(x / (1 + abs(x)))
        >>> with record_taps(to_read=True):
        ...     jaxpr = jax.make_jaxpr(loss)(jnp.ones(3)).jaxpr
        >>> [found] = elementwise_after_taps(jaxpr).values()
        >>> found.function(jnp.array([1.0, -3.0, 0.0]))
        Array([ 0.5 , -0.75,  0.  ], dtype=float32)
    """
    starts: dict[Var, Var] = {}
    parts: list[JaxprEqn] = []
    for eqn in jaxpr.eqns:
        if len(eqn.outvars) != 1:
            continue
        (result,) = eqn.outvars
        if eqn.primitive.name == TAP:
            starts[result] = result
        elif (root := _root(eqn, starts)) and _is_elementwise(eqn):
            starts[result] = root
            parts.append(eqn)
    made = {eqn.outvars[0] for eqn in parts}
    ends = {
        atom
        for eqn in jaxpr.eqns
        if not made.intersection(eqn.outvars)
        for atom in eqn.invars
        if isinstance(atom, Var) and atom in made
    }
    return {
        end: Elementwise(starts[end], _function(starts[end], end, parts))
        for end in sorted(ends, key=list(starts).index)
    }


def _root(eqn: JaxprEqn, starts: Mapping[Var, Var]) -> Var | None:
    """Return the tapped array that an equation acts on, if it acts on nothing else."""
    roots = {starts.get(a) for a in eqn.invars if isinstance(a, Var)}
    return roots.pop() if len(roots) == 1 else None


def _is_elementwise(eqn: JaxprEqn) -> bool:
    shapes = {getattr(v.aval, "shape", ()) for v in (*eqn.invars, *eqn.outvars)} - {()}
    if len(shapes) != 1 or None in shapes:
        return False
    body = equations.called(eqn)
    if body is not None:
        return not body.consts and all(map(_is_elementwise, body.jaxpr.eqns))
    return eqn.primitive.name in _ELEMENTWISE


def _function(start: Var, end: Var, eqns: Sequence[JaxprEqn]) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        values = {start: x}
        for eqn in eqns:
            known = [values.get(a) if isinstance(a, Var) else a.val for a in eqn.invars]
            if all(value is not None for value in known):
                (values[eqn.outvars[0]],) = equations.evaluate(eqn, known)
        return values[end]

    return function
