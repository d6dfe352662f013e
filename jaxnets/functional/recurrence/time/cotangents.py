"""Clipping of cotangents, and the error message for forward mode.

Forward mode cannot clip cotangents, and cannot differentiate an implementation with its
own backward pass. JAX's error does not name the option that is the cause, so
`explain_forward_mode_error` does.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp


def clip_cotangents(tree: Any, bound: float | None) -> Any:
    """Return `tree`, with cotangents clipped to `bound` unless that is None."""
    if bound is None:
        return tree
    floating = lambda a: jnp.issubdtype(jnp.result_type(a), jnp.floating)
    return jax.tree.map(lambda a: _clipped(a, bound) if floating(a) else a, tree)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _clipped(x: jax.Array, bound: float) -> jax.Array:
    del bound
    return x


def _forward(x: jax.Array, bound: float) -> tuple[jax.Array, None]:
    del bound
    return x, None


def _backward(bound: float, _, cotangent: jax.Array) -> tuple[jax.Array]:
    return (jnp.clip(cotangent, -bound, bound),)


_clipped.defvjp(_forward, _backward)


@contextlib.contextmanager
def explain_forward_mode_error(
    *, clip_cotangent: float | None = None, implementation: str | None = None
) -> Iterator[None]:
    """Re-raise JAX's error about forward mode with the options that are the cause."""
    try:
        yield
    except TypeError as error:
        if "forward-mode" not in str(error):
            raise
        reasons = []
        if clip_cotangent is not None:
            reasons.append(
                f"`clip_cotangent` is {clip_cotangent}, which does not support forward "
                "mode; wanted None under jax.jvp and jax.jacfwd."
            )
        if implementation is not None:
            reasons.append(
                f"`implementation` {implementation!r} does not support forward mode, "
                "as in jax.jvp and jax.jacfwd; pass implementation='scan'."
            )
        raise TypeError(" ".join(reasons) or str(error)) from error
