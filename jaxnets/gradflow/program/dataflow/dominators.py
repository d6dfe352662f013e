"""Dominators: the vertices of a graph that all paths have in common."""

from collections.abc import Sequence

from jaxnets.gradflow.program.dataflow.graph import reverse


def immediate_dominators(edges: Sequence[Sequence[int]], root: int) -> dict[int, int]:
    """Return for each vertex the nearest one that all paths from `root` to it pass.

    Args:
        edges: For each vertex those that its edges lead to; there may be loops.
        root: The vertex where all paths start.

    Returns:
        The immediate dominator of each vertex that `root` leads to; that of `root` is
        `root`. If the edges lead from results to arguments and `root` is the loss, it
        is the immediate post-dominator.

    Example:
        >>> immediate_dominators([[], [0], [0], [1, 2]], 3)  # two paths from 3 to 0
        {3: 3, 2: 3, 1: 3, 0: 3}

    Source: Cooper, Harvey and Kennedy 2001, "A Simple, Fast Dominance Algorithm".
    """
    order = _finishing_order(edges, root)
    rank = {vertex: number for number, vertex in enumerate(order)}
    before = reverse(edges)
    found = {root: root}

    def meet(a: int, b: int) -> int:
        while a != b:
            while rank[a] < rank[b]:
                a = found[a]
            while rank[b] < rank[a]:
                b = found[b]
        return a

    changed = True
    while changed:
        changed = False
        for vertex in reversed(order[:-1]):
            known = [v for v in before[vertex] if v in found]
            new = known[0]
            for other in known[1:]:
                new = meet(new, other)
            changed |= found.get(vertex) != new
            found[vertex] = new
    return found


def _finishing_order(edges: Sequence[Sequence[int]], start: int) -> list[int]:
    """Return the vertices in the order in which a depth-first search leaves them."""
    order, seen = [], {start}
    stack = [(start, iter(edges[start]))]
    while stack:
        vertex, left = stack[-1]
        new = next((v for v in left if v not in seen), None)
        if new is None:
            stack.pop()
            order.append(vertex)
        else:
            seen.add(new)
            stack.append((new, iter(edges[new])))
    return order
