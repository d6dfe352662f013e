"""The program of a loss with shortcuts added, or with ReLU as its activation."""

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
from jax.extend.core import JaxprEqn, Var

from jaxnets.gradflow.program import equations
from jaxnets.gradflow.program.kinds import is_ours
from jaxnets.gradflow.program.replay import Replay, Value
from jaxnets.gradflow.program.tracing import traced_call
from jaxnets.tap import TAP


# The activations that ReLU can take the place of: each is one equation of one argument.
SQUASHING = ("sigmoid", "tanh")


def rewired(
    loss: Callable[..., Any],
    *,
    shortcuts: Sequence[Collection[str]] = (),
    scale: float = 1.0,
    relu_after: Collection[str] = (),
) -> Callable[..., Any]:
    """Return `loss` with other connections or another activation.

    With the layers `y_k = f_k(y_(k-1))` a shortcut around each is
    `y_k = y_(k-1) + scale f_k(y_(k-1))`, where both have one shape.

    The loss is traced and its program runs with the changes, outside of loops. So the
    model needs no edits, and its parameters stay what they are. The changes are made at
    taps, which only `measure_module` places.

    Args:
        loss: `loss(model, *args)`.
        shortcuts: Groups of taps. Within a group each tap gets the array of the one
            before it.
        scale: What each layer with a shortcut is multiplied by.
        relu_after: Taps. A sigmoid or tanh that follows one of them directly becomes a
            ReLU.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> identity = nnx.initializers.constant(jnp.eye(2))
        >>> layers = [
        ...     nnx.Linear(2, 2, kernel_init=identity, rngs=nnx.Rngs(0))
        ...     for _ in range(3)
        ... ]
        >>> def loss(model, x):
        ...     return jnp.sum(model(x))
        >>> model, x = nnx.Sequential(*layers), jnp.ones((1, 2))
        >>> group = [f"layers/{number}" for number in range(3)]
        >>> from jaxnets.gradflow import measure_module
        >>> changed = rewired(loss, shortcuts=[group])
        >>> [
        ...     float(measure_module(f, model, x).value) for f in (loss, changed)
        ... ]
        [2.0, 8.0]

    Source: He et al. 2016, "Identity Mappings in Deep Residual Networks", equation 1.
    """

    @functools.wraps(loss)
    def changed(*args: Any, **options: Any) -> Any:
        jaxpr, arguments, finish = traced_call(loss, args, options)
        replay = _Rewiring(shortcuts, scale, relu_after)
        return finish(replay.run(jaxpr, arguments))

    return changed


class _Rewiring(Replay):
    """Runs a program with changes; the taps are those of the program."""

    def __init__(
        self,
        shortcuts: Sequence[Collection[str]],
        scale: float,
        relu_after: Collection[str],
    ):
        super().__init__()
        self._group = {tap: n for n, group in enumerate(shortcuts) for tap in group}
        self._scale = scale
        self._relu_after = frozenset(relu_after)
        self._before: dict[int, Any] = {}
        self._loops = 0

    def _equation(
        self, eqn: JaxprEqn, values: list[Value], kinds: dict[Var, str]
    ) -> list[Value]:
        if self._loops:
            return super()._equation(eqn, values, kinds)
        if eqn.primitive.name == TAP:
            group = self._group.get(equations.tap_name(eqn))
            if group is not None:
                values = [values[0]._replace(array=self._added(group, values[0]))]
        elif len(values) == 1 and kinds.get(eqn.outvars[0]) in SQUASHING:
            (value,) = values
            _, latest = max(value.taps, default=(0, ""))
            if latest in self._relu_after and not is_ours(eqn):
                return [value._replace(array=jax.nn.relu(value.array))]
        return super()._equation(eqn, values, kinds)

    def _added(self, group: int, value: Value) -> Any:
        before, array = self._before.get(group), value.array
        if before is not None and before.shape == array.shape:
            array = before + self._scale * array
        self._before[group] = array
        return array

    def _function(self, body: Any, taps: Any) -> Any:
        """Leave the bodies of loops, branches and checkpoints as they are."""
        run, found = super()._function(body, taps)

        def inside(*arrays: Any) -> list[Any]:
            self._loops += 1
            results = run(*arrays)
            self._loops -= 1
            return results

        return inside, found

    def _tap_activation(self, value: Value, kind: str) -> Value:
        """Add no taps: whatever runs the changed loss adds them."""
        del kind
        return value
