"""The logs of a traced loss, in order, from the branches that were taken."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.tap import LogKey, Recording, TapLog, logs_in_order, record_taps


class LoggedGradient(NamedTuple):
    """The results of one evaluation of a loss, with the logs in the taps' order."""

    value: jax.Array
    aux: Any
    grads: Any
    logs: dict[LogKey, Any]


def value_grad_and_logs(
    loss: Callable[..., Any],
    params: Any,
    args: tuple[Any, ...],
    has_aux: bool,
    patterns: tuple[str, ...] | None,
) -> LoggedGradient:
    """Differentiate `loss`; raise a ValueError if two of its taps have one key."""
    attempt = functools.partial(_attempt, loss, params, args, has_aux, patterns)
    # With jax.checkpoint inside an inner derivative, the outer one meets a tap twice.
    logged = attempt(nested=True) or attempt(nested=False)
    if logged is None:
        raise ValueError(
            "A jitted or otherwise cached function with a tap inside is called more "
            "than once in the loss, so its calls cannot be told apart. Put each call "
            "into its own `with jaxnets.gradflow.scope(name):`."
        )
    return logged


def _attempt(
    loss: Callable[..., Any],
    params: Any,
    args: tuple[Any, ...],
    has_aux: bool,
    patterns: tuple[str, ...] | None,
    *,
    nested: bool,
) -> LoggedGradient | None:
    """Differentiate `loss`; return None if two of its taps have one key."""
    with record_taps(patterns, nested=nested) as recording:
        value, pullback, *aux = jax.vjp(
            lambda p: _checked(loss(p, *args), has_aux), params, has_aux=has_aux
        )
        try:
            (grads,), found = pullback.with_logs(jnp.ones_like(value))
        except ValueError as error:
            if "Duplicate backward-pass log key" not in str(error):
                raise
            return None
    _warn_of_hidden(recording, found)
    logs = {LogKey.parse(text): log for text, log in found.items()}
    logs = logs_in_order(logs, pullback.jaxpr)
    return LoggedGradient(value, aux[0] if has_aux else None, grads, logs)


def _warn_of_hidden(recording: Recording, found: dict[str, Any]) -> None:
    """Warn of the taps that were logged to a derivative inside the loss only."""
    hidden = map(LogKey.parse, recording.hidden - found.keys())
    names = dict.fromkeys(key.name for key in sorted(hidden, key=lambda k: k.number))
    if names:
        warnings.warn(
            f"The taps {', '.join(names)} are inside a derivative that the loss "
            "takes itself, such as jax.grad, and in jax.checkpoint or a layer with a "
            "backward pass of its own, where the outer gradient does not see them. "
            "They are left out. Take jax.checkpoint out of the inner function, pass "
            "`implementation='scan'` to the layer, or measure the inner function.",
            stacklevel=5,
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
        extras = "" if has_aux else ", and return extras through `has_aux=True`"
        raise TypeError(
            f"`loss` returned {kind}; wanted one real number. Reduce it with "
            f"`jnp.mean` or `jnp.sum`{extras}."
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
