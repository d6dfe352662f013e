"""Clipping of cotangents, and the error message for forward mode.

Forward mode cannot clip cotangents, and cannot differentiate an implementation with its
own backward pass.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.tap import reverse_only


def clip_cotangents(tree: Any, bound: float | None) -> Any:
    """Return `tree`, with cotangents clipped to `bound` unless that is None."""
    if bound is None:
        return tree
    tree = reverse_only(tree, forward_mode_message(clip_cotangent=bound))
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


def forward_mode_message(
    *, clip_cotangent: float | None = None, implementation: str | None = None
) -> str:
    """Return the error of forward mode, which names the options that are the cause."""
    reasons = []
    if clip_cotangent is not None:
        reasons.append(
            f"`clip_cotangent` is {clip_cotangent}, which does not support forward "
            "mode; wanted None under jax.jvp, jax.jacfwd and jax.linearize."
        )
    if implementation is not None:
        reasons.append(
            f"`implementation` {implementation!r} does not support forward mode, as in "
            "jax.jvp, jax.jacfwd and jax.linearize; pass implementation='scan'."
        )
    return " ".join(reasons)
