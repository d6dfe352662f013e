"""Parameters that no gradient can reach, and what blocks it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jaxnets.gradflow.program import equations
from jaxnets.gradflow.program.dataflow.graph import Graph, reach, reverse
from jaxnets.gradflow.program.source import source_line


class Blocked(NamedTuple):
    """Why no gradient can reach a parameter.

    Attributes:
        reason: "unused" if the loss does not depend on it; otherwise "stop_gradient",
            "target" (a stop_gradient whose result no trained layer uses, but only the
            loss), "step function" (rounding, the sign, a comparison: the derivative is
            zero) or "integer" (`argmax`, a conversion to integers).
        where: File and line of what blocks the gradient, or of the last use; empty if
            there is none.
    """

    reason: str
    where: str


def blocked(graph: Graph, params: Mapping[str, int], loss: int) -> dict[str, Blocked]:
    """Return the parameters from which no differentiable path leads to the loss."""
    needed = reach(graph.parents, [loss])
    reached = reach(graph.smooth, [loss])
    forward, smooth = reverse(graph.parents), reverse(graph.smooth)
    weights = _weights(graph, forward, params.values(), reached)
    found = {}
    for name, vertex in params.items():
        if vertex in reached:
            continue
        if vertex not in needed:
            last = max(reach(forward, [vertex]))
            found[name] = Blocked("unused", source_line(graph.equations[last]))
            continue
        passed = reach(smooth, [vertex])
        ends = {v for u in passed for v in forward[u] if v in needed - passed}
        # Earlier ones may be masks, such as that of a leaky ReLU.
        eqns = graph.equations[max(ends)]
        reason = _reason(eqns[0].primitive.name)
        if reason == equations.STOPS and weights:
            after = reach(forward, ends)
            used = any(weights.intersection(graph.parents[v]) - after for v in after)
            reason = reason if used else "target"
        found[name] = Blocked(reason, source_line(eqns))
    return found


def _weights(
    graph: Graph, forward: list[list[int]], params: Iterable[int], reached: set[int]
) -> set[int]:
    """Return the vertices that depend on trained parameters, and on no data."""
    params = set(params)
    data = reach(forward, set(graph.inputs) - params)
    return reach(forward, params & reached) - data


def _reason(primitive: str) -> str:
    if primitive == equations.STOPS:
        return primitive
    is_step = primitive in equations.STEPS | equations.COMPARISONS
    return "step function" if is_step else "integer"
