"""Activations that may be flat: gates, and outputs whose logarithm is the loss."""

from collections.abc import Iterable, Mapping

from jaxnets.gradflow.program.dataflow.graph import Graph, reach, reverse
from jaxnets.gradflow.program.dataflow.squashed import CHOICES, LOGARITHMS, first


def may_be_flat(
    graph: Graph, activations: Mapping[str, int], params: Iterable[int]
) -> dict[str, str]:
    """Return the sigmoids and softmaxes that lose no gradient where they are flat.

    Each is "log" or "gate":

    - The loss takes its logarithm. Where a probability p is wrong, the derivative 1 / p
      of the logarithm is as large as that of the activation is small.
    - It multiplies another array, which has parameters but does not depend on it, as
      in `t * h + (1 - t) * x`. Where a gate is shut or open, what it lets through has
      its gradient. Only the gate itself learns slowly.

    Args:
        graph: The data flow of a loss.
        activations: The vertices of sigmoids and softmaxes, by any name.
        params: The vertices of the parameters; the other inputs are data or state.
    """
    children = reverse(graph.parents)
    params = set(params)
    learned = reach(children, params)
    learned &= reach(children, set(graph.inputs) - params)
    found = {}
    for name, vertex in activations.items():
        if any(first(graph, children, vertex, CHOICES, LOGARITHMS)):
            found[name] = "log"
            continue
        products = list(first(graph, children, vertex, CHOICES, ("mul",)))
        others = learned - reach(children, [vertex]) if products else set()
        if any(others & {*graph.parents[product]} for product in products):
            found[name] = "gate"
    return found
