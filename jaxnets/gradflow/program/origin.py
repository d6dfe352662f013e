"""The equation of a jaxpr that makes the first NaN or infinity of finite numbers."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import eval_jaxpr
from jax.extend.core import Jaxpr, JaxprEqn

from jaxnets.gradflow.program import equations
from jaxnets.gradflow.program.equations import Body, as_body


# An equation and the calls around it, innermost first.
Equations = tuple[JaxprEqn, ...]


def origin(
    body: Body, arguments: Sequence[Any], calls: Equations = ()
) -> Equations | int | None:
    """Run `body` operation by operation and find what makes its results non-finite.

    Args:
        body: The program.
        arguments: Its arguments.
        calls: The calls around it.

    Returns:
        The equation with the calls around it; the number of an argument that is not
        finite from the start, or -1 for a constant; None if the results are finite.
    """
    jaxpr = body.jaxpr
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, body.consts, strict=True))
    values |= dict(zip(jaxpr.invars, arguments, strict=True))
    read = lambda atom: atom.val if equations.is_literal(atom) else values[atom]
    for eqn in jaxpr.eqns:
        results = equations.evaluate(eqn, list(map(read, eqn.invars)))
        values |= dict(zip(eqn.outvars, results, strict=True))
    found, given = _through(jaxpr, lambda atom: is_bad(read(atom)))
    makers = [e for e in found if not any(is_bad(read(v)) for v in e.invars)]
    if not makers:
        # An infinity may be a mask's: only the NaN that comes of it is wrong.
        is_nan = lambda atom: _any(jnp.isnan, read(atom))
        makers = [
            e
            for e in found
            if any(map(is_nan, e.outvars)) and not any(map(is_nan, e.invars))
        ]
    if makers:
        path = (makers[0], *calls)
        for inner, inputs in _runs(makers[0], list(map(read, makers[0].invars))):
            deeper = origin(inner, inputs, path)
            if isinstance(deeper, tuple):
                return deeper
        return path
    places = [place for place, v in enumerate(jaxpr.invars) if v in given]
    return min(places, default=-1) if given else None


def _through(
    jaxpr: Jaxpr, is_wrong: Callable[[Any], bool]
) -> tuple[list[JaxprEqn], set[Any]]:
    """Return the equations and the arguments through which wrong results came."""
    made = {v: number for number, e in enumerate(jaxpr.eqns) for v in e.outvars}
    numbers: set[int] = set()
    given: set[Any] = set()
    waiting = list(jaxpr.outvars)
    while waiting:
        atom = waiting.pop()
        if equations.is_literal(atom) or not is_wrong(atom):
            continue
        if atom not in made:
            given.add(atom)
        elif made[atom] not in numbers:
            numbers.add(made[atom])
            waiting += jaxpr.eqns[made[atom]].invars
    return [jaxpr.eqns[number] for number in sorted(numbers)], given


def _runs(eqn: JaxprEqn, arguments: list[Any]) -> Iterator[tuple[Body, list[Any]]]:
    """Yield the runs of the bodies of an equation whose results are not finite."""
    name = eqn.primitive.name
    if name == "scan":
        yield from _steps(eqn, arguments)
    elif name == "while":
        yield from _rounds(eqn, arguments)
    elif name == "cond":
        bodies = equations.branches(eqn)
        index = min(max(int(arguments[0]), 0), len(bodies) - 1)
        yield bodies[index], arguments[1:]
    elif name != "shard_map" and (body := equations.called(eqn)) is not None:
        yield body, arguments


def _steps(eqn: JaxprEqn, arguments: list[Any]) -> Iterator[tuple[Body, list[Any]]]:
    body = as_body(eqn.params["jaxpr"])
    consts, carry, _, _ = equations.scan_counts(eqn)
    run = _compiled(body)
    state, xs = arguments[consts : consts + carry], arguments[consts + carry :]
    times = range(eqn.params["length"])
    for time in reversed(times) if eqn.params["reverse"] else times:
        inputs = [*arguments[:consts], *state, *(x[time] for x in xs)]
        results = run(*inputs)
        if any(map(is_bad, results)):
            yield body, inputs
        state = results[:carry]


def _rounds(eqn: JaxprEqn, arguments: list[Any]) -> Iterator[tuple[Body, list[Any]]]:
    condition, body = (as_body(eqn.params[f"{n}_jaxpr"]) for n in ("cond", "body"))
    skipped = eqn.params["cond_nconsts"]
    first = skipped + eqn.params["body_nconsts"]
    goes_on, run, state = _compiled(condition), _compiled(body), arguments[first:]
    while goes_on(*arguments[:skipped], *state)[0]:
        inputs = [*arguments[skipped:first], *state]
        state = run(*inputs)
        if any(map(is_bad, state)):
            yield body, inputs


def _compiled(body: Body) -> Callable[..., list[Any]]:
    return jax.jit(functools.partial(eval_jaxpr, body.jaxpr, body.consts))


def is_bad(value: Any) -> bool:
    """Return whether an array has a NaN or an infinity.

    Example:
        >>> is_bad(jnp.array([1.0, jnp.inf])), is_bad(3)
        (True, False)
    """
    return _any(lambda x: ~jnp.isfinite(x), value)


def _any(test: Callable[[Any], Any], value: Any) -> bool:
    inexact = jnp.issubdtype(jax.dtypes.result_type(value), jnp.inexact)
    return inexact and bool(jnp.any(test(value)))
