"""Parameters that no gradient can reach, and what blocks it."""

from collections.abc import Mapping
from typing import NamedTuple

from jaxnets.gradflow.program import equations
from jaxnets.gradflow.program.dataflow.graph import Graph, reach, reverse
from jaxnets.gradflow.program.source import source_line


class Blocked(NamedTuple):
    """Why no gradient can reach a parameter.

    Attributes:
        reason: "unused" if the loss does not depend on it; otherwise "stop_gradient",
            "step function" (rounding, the sign, a comparison: the derivative is zero)
            or "integer" (`argmax`, a conversion to integers).
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
        found[name] = Blocked(_reason(eqns[0].primitive.name), source_line(eqns))
    return found


def _reason(primitive: str) -> str:
    if primitive == equations.STOPS:
        return primitive
    is_step = primitive in equations.STEPS | equations.COMPARISONS
    return "step function" if is_step else "integer"
