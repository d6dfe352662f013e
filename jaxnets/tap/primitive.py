"""The identity whose backward pass logs the statistics of its cotangent.

A `jax.custom_vjp` function could do this too, but not inside a derivative that the loss
takes itself: it has no forward mode, and an inner reverse mode hides it from the outer
one. Here each derivative leaves the tap in the primal program. So the outer derivative
meets it as well, and to the inner one it is the identity.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax._src.interpreters.ad import fancy_transposes
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxnets.tap.logs import make_logs
from jaxnets.tap.statistics import ResponseStats, summarise_response
from jaxnets.tap.trace import is_read, measures_nested, note_hidden


# Its name in a jaxpr, in which its parameter `key` has the name of the tap.
TAP = "tap"


def logging_identity(x: jax.Array, key: str) -> jax.Array:
    """Return `x`; log its statistics and those of its cotangent.

    Args:
        x: Array of any shape.
        key: The start of the key of the log, which `new_key` returned.

    Returns:
        `x`.
    """
    return _tap.bind(x, key=key, batch_axes=0, nested=measures_nested())


def _jvp(primals, tangents, *, key: str, batch_axes: int, nested: bool):
    (x,), (tangent,) = primals, tangents
    options = {"key": key, "batch_axes": batch_axes, "nested": nested}
    if not isinstance(tangent, ad.Zero) and not is_read():
        response = summarise_response(jnp.asarray(x), batch_axes)
        tangent = _linear_tap.bind(tangent, *response, **options)
    return _tap.bind(x, **options) if nested else x, tangent


def _batch(arguments, axes, *, batch_axes: int, **options: Any):
    x = jnp.moveaxis(arguments[0], axes[0], 0)
    return _tap.bind(x, batch_axes=batch_axes + 1, **options), 0


_tap = Primitive(TAP)
_tap.def_impl(lambda x, **_: x)
_tap.def_abstract_eval(lambda x, **_: x)
ad.primitive_jvps[_tap] = _jvp
batching.primitive_batchers[_tap] = _batch
mlir.register_lowering(_tap, lambda context, x, **_: [x])


def _linear_jvp(primals, tangents, **options: Any):
    # Differentiated once more, this tangent belongs to the outer derivative, whose
    # taps are in the primal program.
    return _linear_tap.bind(*primals, **options), tangents[0]


def _linear_batch(arguments, axes, **_: Any):
    # Only inner derivatives are batched, and nobody reads their logs.
    return arguments[0], axes[0]


def _linear_transpose(
    cotangent, tangent, *response, key: str, batch_axes: int, nested: bool
):
    cotangent = ad.instantiate_zeros(cotangent)
    tangent.accum(cotangent)
    logs = make_logs({key: (ResponseStats(*response), cotangent)}, batch_axes)
    return logs if nested else note_hidden(logs)


_linear_tap = Primitive("linear_tap")
_linear_tap.def_impl(lambda tangent, *response, **_: tangent)
_linear_tap.def_abstract_eval(lambda tangent, *response, **_: tangent)
ad.primitive_jvps[_linear_tap] = _linear_jvp
batching.primitive_batchers[_linear_tap] = _linear_batch
mlir.register_lowering(_linear_tap, lambda context, tangent, *response, **_: [tangent])
# `ad.primitive_transposes`, which JAX exports, has no rules that log.
fancy_transposes[_linear_tap] = _linear_transpose
