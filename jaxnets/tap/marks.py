"""Taps as equations of a traced program, from which its structure is read.

A measured tap is a function with a derivative of its own, so its name does not appear
in the program. Under `record_taps(as_marks=True)` a tap is one identity equation that
carries its key. Derivatives, batching and compilation treat it as the identity.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


# The name of the primitive in a jaxpr.
MARK = "tap_mark"


def mark(x: Any, key: str) -> jax.Array:
    """Return `x`, through an equation that carries `key`.

    Args:
        x: An array.
        key: What `new_key` returned.

    Example:
        >>> print(jax.make_jaxpr(lambda x: mark(x, "h#0.0"))(1.0))
        { lambda ; a:f32[]. let
            b:f32[] = tap_mark[batched=0 key=h#0.0] a
          in (b,) }
    """
    return _mark.bind(jnp.asarray(x), key=key, batched=0)


def _jvp(primals, tangents, **params: Any):
    (x,), (tangent,) = primals, tangents
    # Only the forward pass is marked: a mark on the tangent would be a second tap.
    return _mark.bind(x, **params), tangent


def _batch(arguments, axes, *, batched: int, **params: Any):
    # The axes that `vmap` added come first.
    x = jnp.moveaxis(arguments[0], axes[0], 0)
    return _mark.bind(x, batched=batched + 1, **params), 0


_mark = Primitive(MARK)
_mark.def_impl(lambda x, **_: x)
_mark.def_abstract_eval(lambda x, **_: x)
ad.primitive_jvps[_mark] = _jvp
batching.primitive_batchers[_mark] = _batch
mlir.register_lowering(_mark, lambda context, x, **_: [x])
