"""A traced program run again, with taps after its activations."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import JaxprEqn, Var

from jaxnets.gradflow.program import equations
from jaxnets.gradflow.program.dataflow.taps import MODEL
from jaxnets.gradflow.program.equations import Body, as_body
from jaxnets.gradflow.program.kinds import activations, is_ours
from jaxnets.tap import TAP, tap


class Value(NamedTuple):
    """An array, and the taps through which it comes without a further tap between.

    Attributes:
        array: The array.
        taps: Numbers and names of the taps.
    """

    array: Any
    taps: frozenset[tuple[int, str]]


class Replay:
    """Runs a jaxpr with its taps, and adds taps after activations.

    Attributes:
        kinds: The activation by the name of its tap, without the number of the call.
        added: The names of the taps that were added.
        sources: The taps that an activation's argument comes from, by its own tap.
    """

    def __init__(self):
        self.kinds: dict[str, str] = {}
        self.added: set[str] = set()
        self.sources: dict[str, tuple[str, ...]] = {}
        self._numbers = itertools.count()

    def run(self, closed: Any, arguments: Sequence[Any]) -> list[Any]:
        """Return the results of a closed jaxpr."""
        given = [Value(array, frozenset()) for array in arguments]
        return [value.array for value in self._body(as_body(closed), given)]

    def _body(self, body: Body, arguments: Sequence[Value]) -> list[Value]:
        jaxpr = body.jaxpr
        known = {
            variable: Value(array, frozenset())
            for variable, array in zip(jaxpr.constvars, body.consts, strict=True)
        }
        known |= dict(zip(jaxpr.invars, arguments, strict=True))

        def read(atom: Any) -> Value:
            is_literal = equations.is_literal(atom)
            return Value(atom.val, frozenset()) if is_literal else known[atom]

        kinds = activations(jaxpr)
        tapped = {eqn.invars[0] for eqn in jaxpr.eqns if eqn.primitive.name == TAP}
        for eqn in jaxpr.eqns:
            values = [read(atom) for atom in eqn.invars]
            results = self._equation(eqn, values, kinds)
            new = [v for v in eqn.outvars if v in kinds and v not in tapped]
            # This library's recurrences have the taps that they need.
            if new and not is_ours(eqn):
                results = [self._tap_activation(results[0], kinds[new[0]])]
            known |= dict(zip(eqn.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(
        self, eqn: JaxprEqn, values: list[Value], kinds: dict[Var, str]
    ) -> list[Value]:
        name = equations.name_of(eqn)
        if name == TAP:
            tapped = equations.tap_name(eqn)
            (atom,) = eqn.invars
            if isinstance(atom, Var) and atom in kinds:
                self._found(tapped, kinds[atom], values[0])
            identity = functools.partial(tap, name=tapped)
            for _ in range(eqn.params["batch_axes"]):
                identity = jax.vmap(identity)
            with equations.written_at(eqn):
                array = identity(values[0].array)
            return [Value(array, frozenset([(next(self._numbers), tapped)]))]
        opens = {
            "scan": self._scan,
            "cond": self._cond,
            "shard_map": self._shard_map,
            **dict.fromkeys(equations.CALLS, self._call),
            **dict.fromkeys(equations.CHECKPOINTS, self._checkpoint),
        }
        is_activation = any(variable in kinds for variable in eqn.outvars)
        if name in opens and not is_activation and _has_taps(eqn):
            return opens[name](eqn, values)
        arrays = equations.evaluate(eqn, [value.array for value in values])
        return [Value(array, _taps(values)) for array in arrays]

    def _call(self, eqn: JaxprEqn, values: list[Value]) -> list[Value]:
        (body,) = equations.bodies(eqn)
        return self._body(body, values)

    def _cond(self, eqn: JaxprEqn, values: list[Value]) -> list[Value]:
        index, *operands = values
        branches = equations.branches(eqn)
        if len(branches) == 1:
            return self._body(branches[0], operands)
        taps = [value.taps for value in operands]
        runs = [self._function(body, taps) for body in branches]
        arrays = jax.lax.switch(
            index.array, [run for run, _ in runs], *(v.array for v in operands)
        )
        of_branches = [list(found) for _, found in runs]
        return [
            Value(array, frozenset().union(*(found[place] for found in of_branches)))
            for place, array in enumerate(arrays)
        ]

    def _checkpoint(self, eqn: JaxprEqn, values: list[Value]) -> list[Value]:
        (body,) = equations.bodies(eqn)
        run, taps = self._function(body, [value.taps for value in values])
        params = equations.params_of(eqn)
        options = {name: params[name] for name in ("prevent_cse", "policy")}
        arrays = jax.checkpoint(run, **options)(*(value.array for value in values))
        return list(map(Value, arrays, taps))

    def _shard_map(self, eqn: JaxprEqn, values: list[Value]) -> list[Value]:
        (body,) = equations.bodies(eqn)
        run, taps = self._function(body, [value.taps for value in values])
        names = ("mesh", "in_specs", "out_specs", "check_vma")
        options = {name: eqn.params[name] for name in names}
        options["out_specs"] = list(options["out_specs"])
        mapped = jax.shard_map(run, **options)
        return list(map(Value, mapped(*(value.array for value in values)), taps))

    def _scan(self, eqn: JaxprEqn, values: list[Value]) -> list[Value]:
        (body,) = equations.bodies(eqn)
        consts, carry, _, _ = equations.scan_counts(eqn)
        run, taps = self._function(body, [value.taps for value in values])
        arrays = [value.array for value in values]
        fixed, initial = arrays[:consts], arrays[consts : consts + carry]

        def step(state: list[Any], xs: list[Any]) -> tuple[list[Any], list[Any]]:
            results = run(*fixed, *state, *xs)
            return results[:carry], results[carry:]

        options = {name: eqn.params[name] for name in ("length", "reverse", "unroll")}
        state, ys = jax.lax.scan(step, initial, arrays[consts + carry :], **options)
        return list(map(Value, [*state, *ys], taps))

    def _function(
        self, body: Body, taps: Sequence[frozenset[Any]]
    ) -> tuple[Callable[..., list[Any]], list[frozenset[Any]]]:
        """Return `body` as a function of arrays, and the taps of its results.

        The list of these is empty until the function has been called.
        """
        found: list[frozenset[Any]] = []

        def run(*arrays: Any) -> list[Any]:
            results = self._body(body, list(map(Value, arrays, taps)))
            found[:] = [value.taps for value in results]
            return [value.array for value in results]

        return run, found

    def _tap_activation(self, value: Value, kind: str) -> Value:
        """Tap the result of an activation under the name of the taps before it."""
        if not value.taps:
            return value
        _, latest = max(value.taps)
        if latest == MODEL:
            # The loss has functions such as `max(0, 1 - margin)` of its own.
            return value
        parents = {name.rpartition("/")[0] for _, name in value.taps}
        # Several layers of one module meet here, such as queries and keys.
        meets = len(value.taps) > 1 and len(parents) == 1 and "" not in parents
        name = f"{parents.pop() if meets else latest}/{kind}"
        self._found(name, kind, value)
        self.added.add(name)
        return value._replace(array=tap(value.array, name))

    def _found(self, name: str, kind: str, value: Value) -> None:
        """Note the tap of an activation."""
        self.kinds[name] = kind
        self.sources[name] = tuple(tap for _, tap in sorted(value.taps))


def _taps(values: Sequence[Value]) -> frozenset[tuple[int, str]]:
    return frozenset().union(*(value.taps for value in values))


def _has_taps(eqn: JaxprEqn) -> bool:
    """Return whether a body in `eqn` has a tap or an activation."""
    return any(
        activations(body.jaxpr)
        or any(e.primitive.name == TAP or _has_taps(e) for e in body.jaxpr.eqns)
        for body in equations.bodies(eqn)
    )
