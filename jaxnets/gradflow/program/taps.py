"""The taps of a program: their names, their loops and what they follow."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from jaxnets.gradflow.program import equations
from jaxnets.gradflow.program.graph import Graph, Mark, reach, reverse


# The tap at the output of the model itself.
MODEL = "__call__"


class Tap(NamedTuple):
    """A tap that a gradient reaches.

    Attributes:
        name: Its name, as `measure` gives it.
        base: The name without the number of the call.
        vertex: The vertex of the tapped array.
        axis: What the first axis of its statistics counts, or an empty string.
        loop: Taps with the same value have statistics that can be compared.
    """

    name: str
    base: str
    vertex: int
    axis: str
    loop: tuple[object, ...]


def live_taps(graph: Graph, live: set[int], params: Sequence[int]) -> list[Tap]:
    """Return the taps that a gradient reaches, in the order of the forward pass.

    Args:
        graph: The program.
        live: The vertices that a gradient reaches, on the way to the `params`.
        params: The vertices of the parameters; the other inputs are data or state.
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
        found.append(Tap(name, base, mark.vertex, axis, loop))
    return found


def _axis(graph: Graph, mark: Mark, only_params: set[int]) -> str:
    """Return what the outermost loop around a tap counts."""
    if not mark.scans:
        return "vmap" if mark.batch_axes else ""
    before = reach(graph.parents, [mark.vertex])
    used = before & set(graph.slices[mark.scans[0]])
    return "layers" if used & only_params else "time"


def unrolled(
    graph: Graph, taps: Sequence[Tap], data: Sequence[int], modules: Set[str]
) -> tuple[list[Tap], frozenset[str]]:
    """Find the calls of one module that follow each other over time.

    They do if each call depends on the one before it and gets a new slice of the data.

    Args:
        graph: The program.
        taps: Its taps.
        data: The vertices of the inputs that are no part of the model.
        modules: The paths of the modules.

    Returns:
        The taps, of which those of unrolled loops have the axis "time", and the names
        of all repeated calls.
    """
    calls: defaultdict[str, list[Tap]] = defaultdict(list)
    for tap in taps:
        calls[tap.base].append(tap)
    repeated = {
        base: series
        for base, series in calls.items()
        if len(series) > 1 and _is_repeated(base, calls, modules)
    }
    of_data = reach(reverse(graph.parents), data)
    over_time = {
        b for b, series in repeated.items() if _in_time(graph, series, of_data)
    }
    # What is inside an unrolled cell is unrolled too.
    over_time |= {
        base
        for base, series in repeated.items()
        for cell in over_time
        if base.startswith(f"{cell}/") and len(series) == len(repeated[cell])
    }
    changed = [
        tap._replace(axis="time", loop=(tap.base, *tap.loop))
        if tap.base in over_time and not tap.axis
        else tap
        for tap in taps
    ]
    return changed, frozenset(tap.name for s in repeated.values() for tap in s)


def _is_repeated(
    base: str, calls: Mapping[str, Sequence[Tap]], modules: Set[str]
) -> bool:
    """Return whether several taps of one name are calls of one module.

    They may also be taps that one call of a module places in a loop over its layers.
    """
    parts = base.split("/")
    paths = ("/".join(parts[:size]) for size in range(len(parts), 0, -1))
    module = next((path for path in paths if path in modules), None)
    if module is None:
        return False
    return module not in calls or len(calls[module]) > 1


def _in_time(graph: Graph, series: Sequence[Tap], of_data: set[int]) -> bool:
    forward = reverse(graph.parents)
    for before, after in itertools.pairwise(series):
        # The part of the program that the call before had no part in.
        past = reach(graph.parents, [before.vertex])
        now = reach(graph.parents, [after.vertex])
        if before.vertex not in now:
            return False
        new = now - past - reach(forward, [before.vertex])
        if not any(_is_slice(graph, vertex) for vertex in new & of_data):
            return False
    return True


def _is_slice(graph: Graph, vertex: int) -> bool:
    eqns = graph.equations[vertex]
    return bool(eqns) and eqns[0].primitive.name in equations.SLICES
