"""The program of a loss with shortcuts, ReLU or normalised arrays."""

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
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
    normalised: Collection[str] = (),
) -> Callable[..., Any]:
    """Return `loss` with other connections or another activation.

    With the layers `y_k = f_k(y_(k-1))` a shortcut around each is
    `y_k = y_(k-1) + scale f_k(y_(k-1))`, where both have one shape.

    The loss is traced and its program runs with the changes. So the model needs no
    edits, and its parameters stay what they are. The changes are made at taps, which
    only `measure_module` places; shortcuts only outside of loops and checkpoints.

    Args:
        loss: `loss(model, *args)`.
        shortcuts: Groups of taps. Within a group each tap gets the array of the one
            before it.
        scale: What each layer with a shortcut is multiplied by.
        relu_after: Taps. A sigmoid or tanh that follows one of them directly becomes a
            ReLU.
        normalised: Taps. Each array there is divided by its root mean square over the
            last axis.

    Returns:
        The function. Its attribute `made` is the set of the taps at which it has made
        a change so far.

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
    made: set[str] = set()

    @functools.wraps(loss)
    def changed(*args: Any, **options: Any) -> Any:
        jaxpr, arguments, finish = traced_call(loss, args, options)
        replay = _Rewiring(shortcuts, scale, relu_after, normalised, made)
        return finish(replay.run(jaxpr, arguments))

    setattr(changed, "made", made)  # noqa: B010
    return changed


class _Rewiring(Replay):
    """Runs a program with changes; the taps are those of the program."""

    def __init__(
        self,
        shortcuts: Sequence[Collection[str]],
        scale: float,
        relu_after: Collection[str],
        normalised: Collection[str],
        made: set[str],
    ):
        super().__init__()
        self._group = {tap: n for n, group in enumerate(shortcuts) for tap in group}
        self._scale = scale
        self._relu_after = frozenset(relu_after)
        self._normalised = frozenset(normalised)
        self._made = made
        self._before: dict[int, Any] = {}
        self._loops = 0

    def _equation(
        self, eqn: JaxprEqn, values: list[Value], kinds: dict[Var, str]
    ) -> list[Value]:
        if eqn.primitive.name == TAP:
            name, (value,) = equations.tap_name(eqn), values
            if name in self._normalised:
                self._made.add(name)
                values = [value._replace(array=_normalised(value.array))]
            elif name in self._group and not self._loops:
                values = [value._replace(array=self._added(name, value.array))]
        elif len(values) == 1 and kinds.get(eqn.outvars[0]) in SQUASHING:
            (value,) = values
            _, latest = max(value.taps, default=(0, ""))
            if latest in self._relu_after and not is_ours(eqn):
                self._made.add(latest)
                return [value._replace(array=jax.nn.relu(value.array))]
        return super()._equation(eqn, values, kinds)

    def _added(self, name: str, array: jax.Array) -> jax.Array:
        group = self._group[name]
        before = self._before.get(group)
        if before is not None and before.shape == array.shape:
            self._made.add(name)
            array = before + self._scale * array
        self._before[group] = array
        return array

    def _function(self, body: Any, taps: Any) -> Any:
        """Note that the body is that of a loop, a branch or a checkpoint."""
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


def _normalised(x: jax.Array) -> jax.Array:
    """Return `x` over its root mean square along the last axis, which is RMS norm."""
    square = jnp.mean(jnp.square(x.astype(jnp.float32)), axis=-1, keepdims=True)
    return (x * jax.lax.rsqrt(square + 1e-6)).astype(x.dtype)
