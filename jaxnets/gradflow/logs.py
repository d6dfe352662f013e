"""The logs of a loss: traced, told apart, and of the branches that were taken."""

import contextlib
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.tap import Key, Passage, Recording, recording


# Of every loss, which logs its last trace gave.
_in_order: weakref.WeakKeyDictionary[Callable[..., Any], frozenset[Key]] = (
    weakref.WeakKeyDictionary()
)


class Traced(NamedTuple):
    """What one evaluation of a loss gave, and the names of all taps that it met."""

    value: jax.Array
    aux: Any
    grads: Any
    logs: dict[Key, Any]
    names: dict[str, None]


def traced(
    loss: Callable[..., Any],
    params: Any,
    args: tuple[Any, ...],
    has_aux: bool,
    patterns: tuple[str, ...] | None,
    *,
    unshared: bool,
) -> Traced | None:
    """Differentiate `loss`; None where its taps cannot be told apart or put in order.

    A jitted function inside of the loss that was traced for an earlier measurement
    brings the keys of that one. They may be met twice, and their order is not that of
    this loss. Without what is cached (`unshared`) all keys are of one trace.
    """
    with recording(patterns, unshared=unshared) as trace:
        value, pullback, *aux = jax.vjp(
            lambda p: loss(p, *args), params, has_aux=has_aux
        )
        if jnp.shape(value) != () or not jnp.issubdtype(value.dtype, jnp.floating):
            raise TypeError(
                f"`loss` returned an array of shape {jnp.shape(value)} and dtype "
                f"{value.dtype}; wanted one real number. Reduce it with `jnp.mean` or "
                "`jnp.sum`, and return extras through `has_aux=True`."
            )
        try:
            (grads,), found = pullback.with_logs(jnp.ones_like(value))
        except ValueError as error:
            if "Duplicate backward-pass log key" not in str(error):
                raise
            return None
    logs = {Key.parse(text): log for text, log in found.items()}
    if not unshared:
        chosen_none = patterns is not None and not logs
        if chosen_none or not _is_in_order(loss, frozenset(logs), trace):
            return None
    return Traced(value, aux[0] if has_aux else None, grads, logs, trace.names)


def _is_in_order(
    loss: Callable[..., Any], keys: frozenset[Key], trace: Recording
) -> bool:
    """Return whether all `keys` are of one trace of this very loss."""
    if {key.recording for key in keys} <= {trace.number}:
        with contextlib.suppress(TypeError):  # no weak reference, or no hash
            _in_order[loss] = keys
        return True
    try:
        return keys == _in_order.get(loss)
    except TypeError:
        return False


def of_the_branch(log: Any) -> Passage:
    """Return the statistics of the branch that `lax.cond` took, NaN if it has no tap.

    A tap inside of a branch comes back with one slot for each branch: None where the
    branch has no such tap, zeros where it was not taken.
    """
    if isinstance(log, Passage):
        return log
    slots = {
        number: of_the_branch(slot)
        for number, slot in enumerate(log.branches)
        if slot is not None
    }

    def choose(*values: jax.Array) -> jax.Array:
        chosen = jnp.full_like(values[0], jnp.nan)
        for number, value in zip(slots, values, strict=True):
            # Axes that vmap added inside of the branches come last.
            taken = jnp.expand_dims(
                log.index == number, tuple(range(jnp.ndim(log.index), value.ndim))
            )
            chosen = jnp.where(taken, value, chosen)
        return chosen

    return jax.tree.map(choose, *slots.values())
