"""`clip_cotangent`, and what is said where forward mode meets it.

Reverse mode alone has a place for a bound on cotangents, and an implementation with a
backward pass of its own has no forward one. JAX says so without naming the option that
brought it about, so `explained` adds that.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp


def bounded_cotangents(tree: Any, bound: float | None) -> Any:
    """Return `tree`, whose cotangents are bounded to `[-bound, bound]` by element."""
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
def explained(
    *, clip_cotangent: float | None = None, implementation: str | None = None
) -> Iterator[None]:
    """Name the option that has no forward mode, where JAX raises for it."""
    try:
        yield
    except TypeError as error:
        if "forward-mode" not in str(error):
            raise
        reasons = []
        if clip_cotangent is not None:
            reasons.append(
                f"`clip_cotangent` is {clip_cotangent}, which bounds cotangents and "
                "has no forward mode; wanted None under jax.jvp and jax.jacfwd."
            )
        if implementation is not None:
            reasons.append(
                f"`implementation` {implementation!r} has a backward pass of its own "
                "and no forward mode; pass implementation='scan'."
            )
        raise TypeError(" ".join(reasons) or str(error)) from error
