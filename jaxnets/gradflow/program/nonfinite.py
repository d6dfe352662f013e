"""`first_nonfinite`: the operation that makes the first NaN or infinity."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxnets.gradflow.program.dataflow.graph import Graph, reach
from jaxnets.gradflow.program.equations import as_body
from jaxnets.gradflow.program.origin import Equations, is_bad, origin
from jaxnets.gradflow.program.source import position, source_line
from jaxnets.gradflow.program.tracing import Traced, trace_loss


# The operations whose derivative is a division by zero somewhere.
SINGULAR = {"sqrt", "cbrt", "log", "log1p", "acos", "asin", "acosh", "atanh"}


class NonFinite(NamedTuple):
    """The operation that made the first NaN or infinity.

    Attributes:
        primitive: JAX's name of the operation, such as "log" or "div"; "parameter" or
            "argument" if an array is not finite from the start. In the backward pass
            it is the operation whose derivative is infinite, such as "sqrt", where
            that is known.
        where: File and line of the user's code, such as "model.py:37". In the backward
            pass it is the line whose derivative it is. Of a parameter it is the path.
        after: The tap before it, or an empty string.
        backward: Whether the loss is finite and only its gradient is not.
    """

    primitive: str
    where: str
    after: str
    backward: bool


def first_nonfinite(
    loss: Callable[..., Any], model: Any, *args: Any, has_aux: bool = False
) -> NonFinite | None:
    """Find the operation that makes the loss, or else its gradient, non-finite.

    The traced program runs operation by operation. From a NaN in the result the search
    goes back to the first operation that made a NaN or an infinity of finite numbers.
    Infinities that do no harm, such as those of a mask before a softmax, do not count.

    Args:
        loss: `loss(model, *args)` that returns a scalar, or `(scalar, aux)` with
            `has_aux=True`.
        model: Any `nnx.Module`.
        *args: Further arguments.
        has_aux: Whether `loss` returns `(scalar, aux)`.

    Returns:
        The operation; None if the loss and its gradient are finite.

    Raises:
        TypeError: If `model` is not an `nnx.Module` or `loss` is not a function.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        >>> loss = lambda model, x: jnp.sum(jnp.sqrt(model(0 * x)))
        >>> found = first_nonfinite(loss, model, jnp.ones((1, 2)))
        >>> found.primitive, found.after, found.backward
        ('sqrt', '__call__', True)
    """
    found = _search(trace_loss(loss, model, args, has_aux))
    if found is not None:
        return found
    gradient = functools.partial(jax.grad, allow_int=True)
    found = _search(trace_loss(loss, model, args, has_aux, transform=gradient))
    return None if found is None else found._replace(backward=True)


def _search(traced: Traced) -> NonFinite | None:
    """Return what makes the results of a traced program non-finite."""
    for path, array in zip(traced.params, traced.arguments, strict=False):
        if is_bad(array):
            return NonFinite("parameter", path, "", False)
    eqns = origin(as_body(traced.jaxpr), traced.arguments)
    if eqns is None:
        return None
    if isinstance(eqns, int):
        return NonFinite("argument", "", "", False)
    graph = Graph(traced.jaxpr)
    after = _tap_before(graph, eqns)
    return NonFinite(_operation(graph, eqns), source_line(eqns), after, False)


def _operation(graph: Graph, eqns: Equations) -> str:
    """Return the name of an operation, or of the one whose derivative it is.

    The derivative of a square root is a division. A user looks for the root, which is
    in the same call.
    """
    name, here = eqns[0].primitive.name, position(eqns)
    if name not in ("div", "rsqrt") or here is None:
        return name
    called = {e[0].primitive.name for e in graph.equations if e and position(e) == here}
    singular = sorted(called & SINGULAR)
    return singular[0] if len(singular) == 1 else name


def _tap_before(graph: Graph, eqns: Equations) -> str:
    """Return the name of the last tap before an equation, in the forward pass.

    An equation of the backward pass depends on the whole forward pass. Its own part of
    that is what the same call in the user's code has computed.
    """
    here, places = position(eqns), list(map(position, graph.equations))
    vertices = [v for v, found in enumerate(graph.equations) if _are(found, eqns)]
    same = [[v for v in parents if places[v] == here] for parents in graph.parents]
    names = {mark.vertex: mark.name for mark in graph.marks}
    latest = []
    for vertex in reach(same, vertices[:1]):
        before = reach(graph.parents, [vertex]) & names.keys()
        latest += [max(before)] if before else []
    return names[min(latest)] if latest else ""


def _are(some: Equations, others: Equations) -> bool:
    same = len(some) == len(others)
    return same and all(a is b for a, b in zip(some, others, strict=True))
