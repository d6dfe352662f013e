"""Series of taps of which each receives all of its gradient through the next one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxnets.gradflow.program.dataflow.dominators import immediate_dominators
from jaxnets.gradflow.program.dataflow.taps import Tap


Edges = Sequence[Sequence[int]]


def chains(edges: Edges, taps: Sequence[Tap], loss: int) -> tuple[tuple[str, ...], ...]:
    """Return series of taps whose gradients can be compared, the main one first.

    All of the gradient at a tap of a series has passed through the next one. The main
    series ends at the loss. The others lie within one branch each, such as a residual
    branch, one side of a U-Net, one of several paths or the body of a loop over time.

    Args:
        edges: For each vertex those that it is computed from and that a gradient
            reaches.
        taps: The taps, in the order of the forward pass.
        loss: The vertex of the loss.

    Returns:
        The names of the taps in each series, in the order of the forward pass.
    """
    after = immediate_dominators(edges, loss)
    groups: defaultdict[tuple[object, ...], list[Tap]] = defaultdict(list)
    for tap in taps:
        groups[tap.loop].append(tap)
    found: list[list[Tap]] = []
    for loop in sorted(groups, key=len):
        # The network itself is outside of the loops, unless all of it is in one.
        is_main = not found
        main, *others = _series_of(edges, groups[loop], after, loss, is_main=is_main)
        found += [s for s in [main, *others] if len(s) > 1 or (is_main and s is main)]
    return tuple(tuple(tap.name for tap in series) for series in found)


class _Tree(NamedTuple):
    """The taps of one loop by what all of their gradient passes through.

    Attributes:
        taps: The taps by their vertex.
        children: For each tap, and the loss, those of which it is the next one.
        above: For each tap those that all of what it depends on has passed through.
    """

    taps: dict[int, Tap]
    children: dict[int, list[int]]
    above: dict[int, set[int]]


def _series_of(
    edges: Edges,
    taps: Sequence[Tap],
    after: Mapping[int, int],
    loss: int,
    *,
    is_main: bool,
) -> list[list[Tap]]:
    """Return the series among `taps`, first the one that ends at the loss."""
    by_vertex = {tap.vertex: tap for tap in taps}
    children = _children(by_vertex, after, loss)
    tree = _Tree(by_vertex, children, _dominators(edges, list(by_vertex)))
    found, used = [], set()
    for start in [loss, *reversed(by_vertex)]:
        if start not in used:
            series = _series(start, tree, is_main=is_main and start == loss)
            used.update(series)
            named = [by_vertex[v] for v in reversed(series) if v in by_vertex]
            found.append(_without_wrappers(edges, named))
    return found


def _children(
    taps: Mapping[int, Tap], after: Mapping[int, int], loss: int
) -> dict[int, list[int]]:
    children: defaultdict[int, list[int]] = defaultdict(list)
    for tap in taps:
        if tap != loss:
            next_one = after[tap]
            while next_one not in taps and next_one != loss:
                next_one = after[next_one]
            children[next_one].append(tap)
    return children


def _dominators(edges: Edges, taps: Sequence[int]) -> dict[int, set[int]]:
    """Return for each tap those that all of what it depends on has passed through.

    What a tap depends on are the taps before it. Its own parameters do not count.
    """
    number = {tap: place for place, tap in enumerate(taps)}
    start = len(taps)
    later: list[list[int]] = [[] for _ in range(start + 1)]
    for place, before in _taps_before(edges, number).items():
        for earlier in before or [start]:
            later[earlier].append(place)
    found = immediate_dominators(later, start)
    above: dict[int, set[int]] = {}
    for tap in taps:
        above[tap] = set()
        place = found[number[tap]]
        while place != start:
            above[tap].add(taps[place])
            place = found[place]
    return above


def _taps_before(edges: Edges, number: Mapping[int, int]) -> dict[int, list[int]]:
    """Return for each tap those from which a path without a further tap leads to it.

    All of them are given by their `number`.
    """
    found: dict[int, list[int]] = {}
    nearest: list[int] = []  # for each vertex the numbers as the bits of an integer
    for vertex, parents in enumerate(edges):
        bits = 0
        for parent in parents:
            # A later parent is the end of a loop's step before.
            bits |= nearest[parent] if parent < vertex else 0
        if vertex in number:
            found[number[vertex]] = [n for n in range(len(number)) if bits >> n & 1]
            bits = 1 << number[vertex]
        nearest.append(bits)
    return found


def _series(start: int, tree: _Tree, *, is_main: bool) -> list[int]:
    """Return the series that ends at `start`, backwards.

    Where several branches meet, the series goes on with the tap that all of them depend
    on. If there is none, the main series goes on with the longest branch, and the
    others begin here.
    """
    series = [start]
    while found := tree.children.get(series[-1], []):
        end = tree.taps.get(series[-1])
        outside = [v for v in found if end is None or not _is_in(tree.taps[v], end)]
        found = outside or found
        first = [child for child in found if not tree.above[child] & {*found}]
        if len(first) > 1 and not is_main:
            break
        # `max` returns the first of several with the same length.
        series.append(max(first, key=lambda v: _length(v, tree.children)))
    return series


def _length(vertex: int, children: Mapping[int, list[int]]) -> int:
    """Return the number of taps in the longest series that ends at `vertex`."""
    length, level = 0, [vertex]
    while level:
        length += 1
        level = [child for v in level for child in children.get(v, [])]
    return length


def _without_wrappers(edges: Edges, series: Sequence[Tap]) -> list[Tap]:
    """Leave out the taps of modules of which parts are in the series."""
    kept: list[Tap] = []
    for tap in series:
        # A module returns what its last part returns: one array has two taps.
        if kept and edges[tap.vertex] == [kept[-1].vertex]:
            opened = any(_is_in(other, tap) for other in kept[:-1])
            if tap.wraps == tap.base and not opened:
                kept[-1] = tap
        else:
            kept.append(tap)
    return [tap for tap in kept if not any(_is_in(other, tap) for other in kept)]


def _is_in(tap: Tap, module: Tap) -> bool:
    """Return whether `tap` belongs to a part of the module whose result `module` is."""
    if module.wraps is None or tap.wraps == module.wraps:
        return False
    return not module.wraps or tap.base.startswith(f"{module.wraps}/")
