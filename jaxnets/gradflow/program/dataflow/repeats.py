"""Calls of one module, and which of them follow each other over time."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set

from jaxnets.gradflow.program import equations
from jaxnets.gradflow.program.dataflow.graph import Graph, reach, reverse
from jaxnets.gradflow.program.dataflow.taps import MODEL, Tap


Calls = Mapping[str, Sequence[Tap]]


def unrolled(
    graph: Graph,
    taps: Sequence[Tap],
    params: Sequence[int],
    data: Sequence[int],
    modules: Set[str],
) -> tuple[list[Tap], frozenset[str]]:
    """Find repeated calls, and Python loops over time among them.

    Calls follow each other over time if each of them depends on the one before it and
    gets a new slice of the data, and a parameter is used again from one to the next.
    What is inside such a module, or is called once in each of its steps, is in the loop
    too. An attention with one dropout for its weights and its output calls that twice,
    the second time with a new slice, the values, but it uses no parameter again.

    Args:
        graph: The program.
        taps: Its taps.
        params: The vertices of the parameters.
        data: The vertices of the inputs that are no part of the model.
        modules: The paths of the modules.

    Returns:
        The taps, of which those of unrolled loops have the axis "time", and the names
        of all repeated calls.
    """
    calls: defaultdict[str, list[Tap]] = defaultdict(list)
    for tap in taps:
        calls[tap.base].append(tap)
    several = {base: series for base, series in calls.items() if len(series) > 1}
    if not several:
        return list(taps), frozenset()
    order = _Order(graph, [tap.vertex for tap in taps], params, data)
    over_time = {base for base, series in several.items() if order.in_time(series)}
    cells = {_module(base, modules) for base in over_time} - {""}
    mates = {
        base
        for base in several.keys() - over_time
        if any(f"{_module(base, modules)}/".startswith(f"{cell}/") for cell in cells)
        or any(order.same_steps(several[base], several[cell]) for cell in over_time)
    }
    over_time |= mates
    repeated = {b for b in several if _is_repeated(b, calls, modules)} | over_time
    changed = [
        tap._replace(axis="time", loop=(tap.base, *tap.loop))
        if tap.base in over_time and not tap.axis
        else tap
        for tap in taps
    ]
    return changed, frozenset(tap.name for base in repeated for tap in calls[base])


class _Order:
    """Which taps depend on which taps and which slices of the data."""

    def __init__(
        self,
        graph: Graph,
        taps: Sequence[int],
        params: Sequence[int],
        data: Sequence[int],
    ):
        self.parents = graph.parents
        forward = reverse(graph.parents)
        of_data = reach(forward, data)
        # The parameters, and what is computed from them alone.
        others = set(graph.inputs) - set(params)
        self.weights = reach(forward, params) - reach(forward, others)
        self.slices = [v for v in sorted(of_data) if _is_slice(graph, v)]
        self.number = {v: n for n, v in enumerate(dict.fromkeys([*self.slices, *taps]))}
        # The taps and slices before each vertex, as the bits of an integer.
        self.before: list[int] = []
        for vertex, parents in enumerate(graph.parents):
            bits = 1 << self.number[vertex] if vertex in self.number else 0
            for parent in parents:
                # A later parent is the end of a loop's step before.
                bits |= self.before[parent] if parent < vertex else 0
            self.before.append(bits)

    def depends(self, vertex: int, on: int) -> bool:
        return bool(self.before[vertex] >> self.number[on] & 1)

    def in_time(self, series: Sequence[Tap]) -> bool:
        """Return whether each call depends on the last one and on a new slice."""
        vertices = [tap.vertex for tap in series]
        return all(
            self.depends(after, before) and self._has_new_slice(after, before)
            for before, after in itertools.pairwise(vertices)
        ) and self._use_a_weight_again(vertices)

    def _use_a_weight_again(self, vertices: Sequence[int]) -> bool:
        """Return whether what is new in one call has a weight of an earlier one."""
        before: set[int] = set()
        used: set[int] = set()
        for vertex in vertices:
            until = reach(self.parents, [vertex])
            new = {p for v in until - before for p in self.parents[v]} & self.weights
            if new & used:
                return True
            before, used = until, used | new
        return False

    def _has_new_slice(self, after: int, before: int) -> bool:
        return any(
            self.depends(after, part)
            and not self.depends(before, part)
            and not self.depends(part, before)
            for part in self.slices
        )

    def same_steps(self, series: Sequence[Tap], cell: Sequence[Tap]) -> bool:
        """Return whether there is one call in each step of `cell`, before or after."""
        if len(series) != len(cell):
            return False
        own, steps = ([tap.vertex for tap in taps] for taps in (series, cell))
        pairs = list(zip(own, steps, strict=True))
        early = all(self.depends(step, v) for v, step in pairs) and not any(
            self.depends(step, v) for v, step in zip(own[1:], steps, strict=False)
        )
        late = all(self.depends(v, step) for v, step in pairs) and not any(
            self.depends(v, step) for v, step in zip(own, steps[1:], strict=False)
        )
        return early or late


def _is_slice(graph: Graph, vertex: int) -> bool:
    eqns = graph.equations[vertex]
    return bool(eqns) and eqns[0].primitive.name in equations.SLICES


def _module(base: str, modules: Set[str]) -> str:
    """Return the path of the module that a tap belongs to; empty for the model."""
    parts = base.split("/")
    paths = ("/".join(parts[:size]) for size in range(len(parts), 0, -1))
    return next((path for path in paths if path in modules), "")


def _is_repeated(base: str, calls: Calls, modules: Set[str]) -> bool:
    """Return whether several taps of one name are calls of one module.

    They may also be taps that one call of a module places in a loop over its layers.
    """
    if base == MODEL:
        return True
    module = _module(base, modules)
    return bool(module) and (module not in calls or len(calls[module]) > 1)
