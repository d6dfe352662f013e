"""The taps of a program: their names, their loops and what they follow."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxnets.gradflow.program.dataflow.graph import Graph, Mark, reach, reverse


# The tap at the output of the model itself.
MODEL = "__call__"


class Tap(NamedTuple):
    """A tap that a gradient reaches.

    Attributes:
        name: Its name, as `measure` gives it.
        base: The name without the number of the call.
        vertex: The vertex of the tapped array.
        wraps: The path of the module whose result it is, or None.
        axis: What the first axis of its statistics counts, or an empty string.
        loop: Taps with the same value have statistics that can be compared.
    """

    name: str
    base: str
    vertex: int
    wraps: str | None
    axis: str
    loop: tuple[object, ...]


def live_taps(
    graph: Graph, live: set[int], params: Sequence[int], modules: Mapping[str, type]
) -> list[Tap]:
    """Return the taps that a gradient reaches, in the order of the forward pass.

    Args:
        graph: The program.
        live: The vertices that a gradient reaches, on the way to the `params`.
        params: The vertices of the parameters; the other inputs are data or state.
        modules: The classes of the modules, by their paths.
    """
    forward = reverse(graph.parents)
    of_params = reach(forward, params)
    of_others = reach(forward, set(graph.inputs) - set(params))
    counts: Counter[str] = Counter()
    found = []
    for mark in graph.marks:
        if mark.vertex not in live:
            continue
        base = mark.name
        counts[base] += 1
        name = base if counts[base] == 1 else f"{base}#{counts[base]}"
        axis = _axis(graph, mark, of_params - of_others)
        # A scan over layers is a part of the network's depth.
        deep = len(mark.scans) == 1 and axis == "layers"
        loop = () if deep else mark.scans
        loop += ("vmap",) * mark.batch_axes
        found.append(Tap(name, base, mark.vertex, _wraps(base, modules), axis, loop))
    return found


def _wraps(base: str, modules: Mapping[str, type]) -> str | None:
    """Return the path of the module whose result a tap is.

    The taps of other methods than `__call__` have the name of the method at the end.
    """
    if base in modules:
        return base
    path, _, last = base.rpartition("/")
    is_method = path in modules and callable(getattr(modules[path], last, None))
    return path if is_method else None


def _axis(graph: Graph, mark: Mark, only_params: set[int]) -> str:
    """Return what the outermost loop around a tap counts."""
    if not mark.scans:
        return "vmap" if mark.batch_axes else ""
    before = reach(graph.parents, [mark.vertex])
    used = before & set(graph.slices[mark.scans[0]])
    return "layers" if used & only_params else "time"
