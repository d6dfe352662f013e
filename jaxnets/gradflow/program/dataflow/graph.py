"""The data flow of a traced program: every array is a vertex, calls are opened."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.extend.core import JaxprEqn

from jaxnets.gradflow.program import equations
from jaxnets.gradflow.program.equations import Body, as_body
from jaxnets.tap import TAP


# A vertex; None is a constant that stands in the equation.
Vertex = int | None


class Mark(NamedTuple):
    """A tap in the program.

    Attributes:
        vertex: The vertex of the tapped array.
        name: The tap's name, without the number of the call.
        batch_axes: The number of axes that `jax.vmap` added.
        scans: The scans around it, outermost first, by their number.
    """

    vertex: int
    name: str
    batch_axes: int
    scans: tuple[int, ...]


class Graph:
    """The data flow of a jaxpr.

    A loop has one vertex for each array of its body, and an edge back.

    Attributes:
        parents: For each vertex those that it is computed from.
        smooth: The same, without the edges whose derivative is zero or that have none.
        equations: For each vertex its equation and the calls around it, innermost
            first; empty for arguments and constants.
        marks: The taps, in the order of the trace.
        slices: For each scan the vertices of the slices that its steps get.
        inputs: The vertices of the arguments.
        outputs: The vertices of the results.
    """

    def __init__(self, closed: Any):
        self.parents: list[list[int]] = []
        self.smooth: list[list[int]] = []
        self.equations: list[tuple[JaxprEqn, ...]] = []
        self.marks: list[Mark] = []
        self.slices: list[list[int]] = []
        self._scans: tuple[int, ...] = ()
        self._custom = 0
        self._calls: tuple[JaxprEqn, ...] = ()
        body = as_body(closed)
        self.inputs = [self._vertex((), None) for _ in body.jaxpr.invars]
        self.outputs = self._open(body, self.inputs)

    def _vertex(
        self,
        parents: Iterable[Vertex],
        eqn: JaxprEqn | None,
        smooth: Iterable[Vertex] | None = None,
    ) -> int:
        """Add a vertex; without `smooth` a gradient passes from all of its parents."""
        self.parents.append([parent for parent in parents if parent is not None])
        found = self.parents[-1] if smooth is None else smooth
        self.smooth.append([parent for parent in found if parent is not None])
        self.equations.append(() if eqn is None else (eqn, *self._calls))
        return len(self.parents) - 1

    def _open(
        self, body: Body, arguments: Sequence[Vertex], *call: JaxprEqn
    ) -> list[Vertex]:
        """Add the equations of `body`; return the vertices of its results."""
        jaxpr, outside = body.jaxpr, self._calls
        self._calls = (*call, *outside)
        known: dict[Any, Vertex] = {
            variable: self._vertex((), None) for variable in jaxpr.constvars
        }
        known |= dict(zip(jaxpr.invars, arguments, strict=True))
        read = lambda atom: None if equations.is_literal(atom) else known[atom]
        for eqn in jaxpr.eqns:
            results = self._equation(eqn, [read(atom) for atom in eqn.invars])
            known |= dict(zip(eqn.outvars, results, strict=True))
        self._calls = outside
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, eqn: JaxprEqn, arguments: list[Vertex]) -> list[Vertex]:
        name = equations.name_of(eqn)
        special: dict[str, Callable[[JaxprEqn, list[Vertex]], list[Vertex]]] = {
            "scan": self._scan,
            "while": self._while,
            "cond": self._cond,
            TAP: self._tap,
        }
        if name in special:
            return special[name](eqn, arguments)
        body = equations.called(eqn)
        if body is None:
            return self._leaf(eqn, arguments)
        self._custom += name in equations.CUSTOM
        results = self._open(body, arguments, eqn)
        self._custom -= name in equations.CUSTOM
        return results

    def _leaf(self, eqn: JaxprEqn, arguments: list[Vertex]) -> list[Vertex]:
        name = equations.name_of(eqn)
        # Random numbers do not count as data: a key has no part in any question here.
        parents = [] if name.startswith(("random_", "threefry")) else arguments
        results = []
        for place, variable in enumerate(eqn.outvars):
            own = [parents[place]] if name == "sort" else parents
            flat = name in equations.STEPS or name == equations.STOPS
            flat = flat or not _is_inexact(variable)
            smooth = () if flat and not self._custom else own
            results.append(self._vertex(parents, eqn, smooth))
        return results

    def _tap(self, eqn: JaxprEqn, arguments: list[Vertex]) -> list[Vertex]:
        vertex = self._vertex(arguments, eqn)
        # A function with a derivative of its own is not differentiated, so that taps
        # inside it measure nothing.
        if not self._custom:
            name, axes = equations.tap_name(eqn), eqn.params["batch_axes"]
            self.marks.append(Mark(vertex, name, axes, self._scans))
        return [vertex]

    def _scan(self, eqn: JaxprEqn, arguments: list[Vertex]) -> list[Vertex]:
        consts, carry, _, _ = equations.scan_counts(eqn)
        initial = arguments[consts : consts + carry]
        before = [self._vertex([vertex], eqn) for vertex in initial]
        xs = [self._vertex([v], eqn) for v in arguments[consts + carry :]]
        self.slices.append(xs)
        outside, self._scans = self._scans, (*self._scans, len(self.slices) - 1)
        inside = [*arguments[:consts], *before, *xs]
        results = self._open(as_body(eqn.params["jaxpr"]), inside, eqn)
        self._scans = outside
        self._back(before, results[:carry])
        return [self._vertex([result], eqn) for result in results]

    def _while(self, eqn: JaxprEqn, arguments: list[Vertex]) -> list[Vertex]:
        skipped = eqn.params["cond_nconsts"]
        first = skipped + eqn.params["body_nconsts"]
        before = [self._vertex([vertex], eqn) for vertex in arguments[first:]]
        inside = [*arguments[skipped:first], *before]
        results = self._open(as_body(eqn.params["body_jaxpr"]), inside, eqn)
        self._back(before, results)
        return [
            self._vertex([vertex, result], eqn)
            for vertex, result in zip(arguments[first:], results, strict=True)
        ]

    def _back(self, before: list[int], after: list[Vertex]) -> None:
        """Add the edges from the end of a step to the start of the next one."""
        for start, end in zip(before, after, strict=True):
            if end is not None:
                self.parents[start].append(end)
                self.smooth[start].append(end)

    def _cond(self, eqn: JaxprEqn, arguments: list[Vertex]) -> list[Vertex]:
        index, *operands = arguments
        found = [self._open(body, operands, eqn) for body in equations.branches(eqn)]
        return [
            self._vertex([index, *ends], eqn, smooth=ends)
            for ends in zip(*found, strict=True)
        ]


def _is_inexact(variable: Any) -> bool:
    return jnp.issubdtype(getattr(variable.aval, "dtype", jnp.int32), jnp.inexact)


def reach(edges: Sequence[Sequence[int]], starts: Iterable[int]) -> set[int]:
    """Return the vertices that `edges` lead to from `starts`, and `starts`.

    Example:
        >>> sorted(reach([[], [0], [1], []], [2]))
        [0, 1, 2]
    """
    found = set(starts)
    waiting = list(found)
    while waiting:
        new = [v for v in edges[waiting.pop()] if v not in found]
        found.update(new)
        waiting += new
    return found


def reverse(edges: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the edges the other way round.

    Example:
        >>> reverse([[], [0], [0, 1]])
        [[1, 2], [2], []]
    """
    back: list[list[int]] = [[] for _ in edges]
    for end, starts in enumerate(edges):
        for start in starts:
            back[start].append(end)
    return back
