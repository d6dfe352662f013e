"""Whether the derivatives that a user wrote by hand are right."""

import itertools
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn

from jaxnets.gradflow.probes.replay import Replay, Visitor
from jaxnets.gradflow.program import equations
from jaxnets.gradflow.program.source import is_users


# The steps of the finite difference, in units of the argument's own size. The error of
# the difference grows with the step for sin(x) of large x, and as it shrinks for a sum
# of many numbers. A wrong derivative is wrong at both.
STEPS = (1e-2, 1e-4)
DIRECTIONS = 4
# A step that changes nearly all values of a smooth function, and few of a rounding.
TINY = 1e-4
FEW = 0.2


class CustomCall(NamedTuple):
    """A call of a function with a derivative of its own.

    Attributes:
        after: The tap before it.
        function: The name of the function.
        error: How far its derivative is from the finite difference, relative to that.
        surrogate: Whether the function is the identity, or is constant in an argument
            that has a gradient, so that another derivative is meant, such as
            straight-through or the reversal of a gradient.
    """

    after: str
    function: str
    error: float
    surrogate: bool


def custom_calls(closed: Any, arguments: Sequence[Any]) -> list[CustomCall]:
    """Compare each derivative that the user wrote with finite differences.

    For a function f with the derivative rule D, at the arguments x of the call, with
    random directions v and w, `<w, D v>` is compared with
    `<w, f(x + h v) - f(x - h v)> / (2 h)` of the function itself. Derivatives of JAX
    and of this library are left out, and so are arguments whose gradient is exactly
    zero, such as labels and masks, if another has one: a parameter whose gradient is
    zero by mistake is detached, which has a verdict of its own.

    Args:
        closed: The jaxpr of a loss with marks, from `trace_loss`.
        arguments: Its arguments.
    """
    found = _Calls()
    # Whether there is any is known from the trace alone.
    jax.eval_shape(Replay(closed, found), arguments)
    if not found.calls:
        return []
    calls = list(found.calls)

    def inputs(arguments: Any) -> Any:
        seen = _Calls()
        Replay(closed, seen)(arguments)
        return [values for _, _, values in seen.calls]

    values = jax.jit(inputs)(list(arguments))
    return [
        _compared(name, eqn, inputs)
        for (name, eqn, _), inputs in zip(calls, values, strict=True)
    ]


class _Calls(Visitor):
    """Collects the calls of the user's functions."""

    def __init__(self):
        self.calls: list[tuple[str, JaxprEqn, list[Any]]] = []

    def customised(self, name: str, eqn: JaxprEqn, arguments: Sequence[Any]) -> None:
        if is_users(pathlib.PurePath(_source(eqn)[1])):
            self.calls.append((name, eqn, list(arguments)))


def _source(eqn: JaxprEqn) -> tuple[str, str]:
    """Return the name of the function that is called, and where it was written."""
    body = equations.called(eqn)
    source = "" if body is None else body.jaxpr.debug_info.func_src_info
    name, _, path = source.partition(" at ")
    return name, path


def _compared(name: str, eqn: JaxprEqn, values: list[Any]) -> CustomCall:
    body = equations.called(eqn)
    assert body is not None  # `customised` is only called for calls
    plain = lambda *xs: Replay(body, _Calls())(xs)
    rule = lambda *xs: equations.evaluate(eqn, xs)
    floating = [jnp.issubdtype(jnp.result_type(v), jnp.floating) for v in values]

    def put(moved: Sequence[Any]) -> list[Any]:
        rest = iter(moved)
        return [next(rest) if f else v for f, v in zip(floating, values, strict=True)]

    moving = [v for f, v in zip(floating, values, strict=True) if f]
    outputs, pullback = jax.vjp(lambda *xs: rule(*put(xs)), *moving)
    draws = itertools.count()
    samples = []
    for _ in range(DIRECTIONS):
        directions = [_draw(next(draws), x) * _size(x) for x in moving]
        weights = [_draw(next(draws), y) for y in outputs]
        samples.append((directions, weights, pullback(weights)))
    learned = [
        any(bool(jnp.any(gradients[i] != 0)) for _, _, gradients in samples)
        for i in range(len(moving))
    ]
    alone = _one_by_one(learned)
    if not alone:
        learned = [True] * len(moving)
        alone = [learned]

    def changed(directions: Sequence[Any], step: float, which: Sequence[bool]) -> Any:
        pairs = zip(moving, directions, which, strict=True)
        return plain(*put([x + step * v if moves else x for x, v, moves in pairs]))

    def error(step: float) -> float:
        measured, expected = [], []
        for directions, weights, gradients in samples:
            there, back = (changed(directions, s * step, learned) for s in (1, -1))
            change = [(a - b) / (2 * step) for a, b in zip(there, back, strict=True)]
            expected.append(_dot(weights, change))
            pairs = zip(gradients, directions, learned, strict=True)
            measured.append(sum(jnp.vdot(g, v) for g, v, moves in pairs if moves))
        exact, found = jnp.stack(expected), jnp.stack(measured)
        size = jnp.linalg.norm(exact)
        size = jnp.where(size == 0, 1, size)
        return float(jnp.linalg.norm(found - exact) / size)

    same = any(_equal(x, y) for x in moving for y in outputs)
    directions, _, _ = samples[0]
    flat = any(
        all(map(_unchanged, outputs, changed(directions, TINY, which)))
        for which in alone
    )
    least = min(map(error, STEPS))
    return CustomCall(name, _source(eqn)[0], least, flat or same)


def _one_by_one(which: Sequence[bool]) -> list[list[bool]]:
    """Return a choice of one argument for each that is chosen."""
    return [
        [i == j for j in range(len(which))] for i, chosen in enumerate(which) if chosen
    ]


def _draw(number: int, like: Any) -> jax.Array:
    key = jax.random.key(number)
    return jax.random.normal(key, jnp.shape(like), jnp.result_type(like))


def _size(x: Any) -> Any:
    """Return the root mean square of `x`, or 1 if it is zero."""
    size = jnp.sqrt(jnp.mean(jnp.square(x)))
    return jnp.where(size == 0, 1.0, size)


def _dot(left: Sequence[Any], right: Sequence[Any]) -> Any:
    return sum(jnp.vdot(a, b) for a, b in zip(left, right, strict=True))


def _unchanged(x: Any, y: Any) -> bool:
    """Return whether a small step changes next to nothing, as that of a rounding."""
    return bool(jnp.mean(x != y) < FEW)


def _equal(x: Any, y: Any) -> bool:
    return jnp.shape(x) == jnp.shape(y) and bool(jnp.all(x == y))
