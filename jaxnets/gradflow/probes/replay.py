"""A traced loss, run equation by equation, with a visitor that sees and changes it."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import JaxprEqn

from jaxnets.gradflow.program import equations
from jaxnets.gradflow.program.attention import attention_weights
from jaxnets.gradflow.program.elementwise import elementwise_after_taps
from jaxnets.gradflow.program.kinds import activations
from jaxnets.tap import TAP


class Visitor:
    """What a replay calls, outside of loops; here it changes and sees nothing."""

    def tapped(self, name: str, array: jax.Array) -> jax.Array:
        """Return the array that takes the place of the one at a tap."""
        del name
        return array

    def activated(self, name: str, kind: str, array: jax.Array) -> None:
        """See the result of an activation after the tap `name`."""

    def attended(self, name: str, weights: jax.Array) -> None:
        """See the weights of an attention."""

    def shaped(
        self, name: str, array: jax.Array, function: Callable[[Any], Any]
    ) -> None:
        """See an elementwise function of the array at a tap that has no known name."""

    def customised(
        self, name: str, eqn: JaxprEqn, arguments: Sequence[jax.Array]
    ) -> None:
        """See the call of a function with a derivative of its own."""


class Replay:
    """Runs a closed jaxpr; bodies of calls are opened, loops and branches are not.

    Args:
        closed: The jaxpr of a loss, with marks for its taps.
        visitor: What to call on the way.
    """

    def __init__(self, closed: Any, visitor: Visitor):
        self._body = equations.as_body(closed)
        self._visitor = visitor
        self._last = ""
        self._custom = 0

    def __call__(self, arguments: Sequence[Any]) -> list[Any]:
        """Return the results for these arguments."""
        self._last = ""
        return self._run(self._body, arguments)

    def _run(self, body: equations.Body, arguments: Sequence[Any]) -> list[Any]:
        values: dict[Any, Any] = dict(
            zip(body.jaxpr.constvars, body.consts, strict=True)
        )
        values |= dict(zip(body.jaxpr.invars, arguments, strict=True))
        read = lambda atom: atom.val if equations.is_literal(atom) else values[atom]
        # What is inside an activation is no activation of the network.
        kinds = {} if self._custom else activations(body.jaxpr)
        attention = set() if self._custom else attention_weights(body.jaxpr)
        shapes = {} if self._custom else elementwise_after_taps(body.jaxpr)
        taps = [eqn for eqn in body.jaxpr.eqns if eqn.primitive.name == TAP]
        ends = {eqn.invars[0]: equations.tap_name(eqn) for eqn in taps}
        starts = {eqn.outvars[0]: equations.tap_name(eqn) for eqn in taps}
        for eqn in body.jaxpr.eqns:
            found = self._equation(eqn, [read(atom) for atom in eqn.invars], kinds)
            for variable, value in zip(eqn.outvars, found, strict=True):
                values[variable] = value
                kind = kinds.get(variable, "")
                name = self._before(kind, ends.get(variable, ""))
                if variable in attention:
                    self._visitor.attended(name, value)
                if kind:
                    self._visitor.activated(name, kind, value)
                elif shape := shapes.get(variable):
                    self._visitor.shaped(
                        starts[shape.start], values[shape.start], shape.function
                    )
        return [read(atom) for atom in body.jaxpr.outvars]

    def _before(self, kind: str, tap: str) -> str:
        """Return what an activation is named after.

        Args:
            kind: The activation.
            tap: The tap of its result. That of `tap_activations` follows the flow of
                the data; without it, the last tap that the program has passed counts.
        """
        module, _, last = tap.rpartition("/")
        return module if last == kind and module else self._last

    def _equation(
        self, eqn: JaxprEqn, arguments: list[Any], kinds: dict[Any, str]
    ) -> list[Any]:
        if eqn.primitive.name == TAP and not self._custom:
            self._last = equations.tap_name(eqn)
            return [self._visitor.tapped(self._last, arguments[0])]
        body = equations.called(eqn)
        if body is None:
            return equations.evaluate(eqn, arguments)
        is_custom = equations.name_of(eqn) in equations.CUSTOM
        if is_custom and not self._custom:
            self._visitor.customised(self._last, eqn, arguments)
        closed = is_custom or any(v in kinds for v in eqn.outvars)
        self._custom += closed
        results = self._run(body, arguments)
        self._custom -= closed
        return results
