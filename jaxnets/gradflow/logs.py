"""The logs of a traced loss, in order, from the branches that were taken."""

import contextlib
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.tap import LogKey, Recording, TapLog, record_taps


# The keys of the last trace of each loss.
_last_keys: weakref.WeakKeyDictionary[Callable[..., Any], frozenset[LogKey]] = (
    weakref.WeakKeyDictionary()
)


class LoggedGradient(NamedTuple):
    """The results of one evaluation of a loss, and the names of all its taps."""

    value: jax.Array
    aux: Any
    grads: Any
    logs: dict[LogKey, Any]
    names: dict[str, None]


def value_grad_and_logs(
    loss: Callable[..., Any],
    params: Any,
    args: tuple[Any, ...],
    has_aux: bool,
    patterns: tuple[str, ...] | None,
    *,
    retrace: bool,
) -> LoggedGradient | None:
    """Differentiate `loss`; return None if its taps are ambiguous.

    A jitted function inside the loss may come from JAX's cache, with the keys of an
    earlier measurement. Then the same key may occur twice, and the numbers in the keys
    are not in the order of this loss. With `retrace` all keys are of one trace.
    """
    with record_taps(patterns, retrace=retrace) as recording:
        value, pullback, *aux = jax.vjp(
            lambda p: _checked(loss(p, *args), has_aux), params, has_aux=has_aux
        )
        try:
            (grads,), found = pullback.with_logs(jnp.ones_like(value))
        except ValueError as error:
            if "Duplicate backward-pass log key" not in str(error):
                raise
            return None
    logs = {LogKey.parse(text): log for text, log in found.items()}
    if not retrace:
        # The error message needs the names of taps in cached functions too.
        matches_nothing = patterns is not None and not logs
        if matches_nothing or not _is_in_order(loss, frozenset(logs), recording):
            return None
    return LoggedGradient(
        value, aux[0] if has_aux else None, grads, logs, recording.names
    )


def _checked(result: Any, has_aux: bool) -> Any:
    """Return what a loss returned; raise a TypeError unless it is as `has_aux` says."""
    value, aux = as_pair(result) if has_aux else (result, None)
    if isinstance(value, float):
        value = jnp.float32(value)
    dtype = getattr(value, "dtype", None)
    if dtype is None or value.shape != () or not jnp.issubdtype(dtype, jnp.floating):
        kind = f"a value of type {type(value).__name__}"
        if dtype is not None:
            kind = f"an array of shape {value.shape} and dtype {dtype}"
        raise TypeError(
            f"`loss` returned {kind}; wanted one real number. Reduce it with "
            "`jnp.mean` or `jnp.sum`, and return extras through `has_aux=True`."
        )
    return (value, aux) if has_aux else value


def as_pair(result: Any) -> tuple[Any, Any]:
    """Return the pair that a loss returned; raise a TypeError if it is none."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TypeError(
            f"`loss` returned a value of type {type(result).__name__}; wanted the pair "
            "`(scalar, aux)`, because `has_aux` is True."
        )
    return result[0], result[1]


def _is_in_order(
    loss: Callable[..., Any], keys: frozenset[LogKey], recording: Recording
) -> bool:
    """Return whether all `keys` come from one trace of this loss."""
    if {key.recording for key in keys} <= {recording.number}:
        with contextlib.suppress(TypeError):  # the loss has no weak reference or hash
            _last_keys[loss] = keys
        return True
    try:
        return keys == _last_keys.get(loss)
    except TypeError:
        return False


def select_branch(log: Any) -> TapLog:
    """Return the statistics of the branch that `lax.cond` took.

    JAX returns the log of a tap inside a branch with one slot for each branch: None if
    the branch does not have this tap, zeros if it was not taken. If the branch that was
    taken does not have the tap, the statistics are NaN.
    """
    if isinstance(log, TapLog):
        return log
    slots = {
        number: select_branch(slot)
        for number, slot in enumerate(log.branches)
        if slot is not None
    }

    def choose(*values: jax.Array) -> jax.Array:
        chosen = jnp.full_like(values[0], jnp.nan)
        for number, value in zip(slots, values, strict=True):
            # Axes from a vmap inside the branches come last.
            taken = jnp.expand_dims(
                log.index == number, tuple(range(jnp.ndim(log.index), value.ndim))
            )
            chosen = jnp.where(taken, value, chosen)
        return chosen

    return jax.tree.map(choose, *slots.values())
