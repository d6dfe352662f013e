"""Losses that take a softmax of a softmax, or a sigmoid of a sigmoid."""

from collections.abc import Iterator
from typing import NamedTuple

from jaxnets.gradflow.program.dataflow.graph import Graph, reverse
from jaxnets.gradflow.program.kinds import function_of
from jaxnets.gradflow.program.source import source_line
from jaxnets.tap import TAP


# Operations that choose, move or shift numbers: those of a logsumexp before its
# exponential, and of labels that pick one of them.
_CHOICES = (
    "abs add broadcast_in_dim convert_element_type copy dynamic_slice gather max min "
    "neg pad reduce_max reshape select_n slice squeeze stop_gradient sub transpose"
)
CHOICES = frozenset(_CHOICES.split()) | {TAP}
SUMS = CHOICES | {"reduce_sum"}
EXPONENTIALS = ("exp", "logistic")
LOGARITHMS = ("log", "log1p")


class Twice(NamedTuple):
    """What a loss applies twice.

    Attributes:
        kind: "softmax" or "sigmoid".
        where: The line of the loss, such as "model.py:37", or an empty string.
    """

    kind: str
    where: str


def squashed_twice(graph: Graph) -> tuple[Twice, ...]:
    """Return where the logarithm of a softmax or sigmoid takes one as its logits.

    Between both only operations of `CHOICES` may stand: a softmax that weighs values,
    as in attention, is multiplied with them first.

    Args:
        graph: The data flow of a loss.
    """
    children = reverse(graph.parents)
    found = {}
    for vertex, kind in _results(graph, children):
        for exponential in first(graph, children, vertex, CHOICES, EXPONENTIALS):
            if any(first(graph, children, exponential, SUMS, LOGARITHMS)):
                found[kind] = Twice(kind, source_line(graph.equations[exponential]))
    return tuple(found.values())


def _results(graph: Graph, children: list[list[int]]) -> Iterator[tuple[int, str]]:
    """Yield the vertices at which a softmax or a sigmoid ends."""
    kinds = {
        vertex: kind
        for vertex, eqns in enumerate(graph.equations)
        if eqns and (kind := function_of(eqns)) in ("softmax", "sigmoid")
    }
    for vertex, kind in kinds.items():
        if any(kinds.get(child) != kind for child in children[vertex]):
            yield vertex, kind


def first(
    graph: Graph,
    children: list[list[int]],
    start: int,
    through: frozenset[str],
    names: tuple[str, ...],
) -> Iterator[int]:
    """Yield the first vertices of some operations that only some others lead to."""
    waiting, seen = list(children[start]), {start}
    while waiting:
        vertex = waiting.pop()
        if vertex in seen or not graph.equations[vertex]:
            continue
        seen.add(vertex)
        name = graph.equations[vertex][0].primitive.name
        if name in names:
            yield vertex
        elif name in through:
            waiting += children[vertex]
