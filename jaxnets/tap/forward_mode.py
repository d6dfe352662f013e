"""The error of forward mode, for functions with their own reverse mode.

JAX cannot differentiate a `custom_vjp` function in forward mode, and its error names
neither the function nor a way out. It is raised when the tangent is computed or
compiled, which under `jax.jit` is after the call. So the error here has the same place:
the arguments pass through `reverse_only`, whose tangent cannot be computed either.

The taps of such a function are not visible in the linearized program. `reverse_only`
leaves a mark there, after them in the order of the keys: see `logs_in_order`.
"""

from typing import Any, NoReturn

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxnets.tap.trace import new_mark


def reverse_only(tree: Any, message: str) -> Any:
    """Return `tree`; a tangent of it raises an error when it is computed.

    Reverse mode transposes tangents and does not compute them. So derivatives in
    reverse mode are those of the identity, of every order, and so is the derivative of
    a gradient in forward mode.

    Args:
        tree: A pytree of arrays.
        message: The text of the error.

    Returns:
        `tree`.

    Raises:
        TypeError: With `message`, in forward mode, when JAX computes or compiles the
            tangents: under `jax.jit` this is after the call.

    Example:
        >>> import jax
        >>> square = lambda x: reverse_only(x, "pass implementation='scan'.") ** 2
        >>> jax.grad(square)(3.0)
        Array(6., dtype=float32, weak_type=True)
    """
    inexact = lambda a: jnp.issubdtype(jnp.result_type(a), jnp.inexact)
    mark = new_mark()
    guard = lambda a: _identity.bind(jnp.asarray(a), message=message, mark=mark)
    return jax.tree.map(lambda a: guard(a) if inexact(a) else a, tree)


def _jvp(primals, tangents, *, message: str, mark: str):
    (x,), (tangent,) = primals, tangents
    if not isinstance(tangent, ad.Zero):
        tangent = _tangent.bind(tangent, message=message, mark=mark)
    # The primitive is not applied again, so that `x` can be differentiated once more.
    return x, tangent


def _batch(arguments, axes, **options: str):
    return _identity.bind(*arguments, **options), axes[0]


def _raise(*_, message: str, **__) -> NoReturn:
    raise TypeError(message)


_identity = Primitive("reverse_only")
_identity.def_impl(lambda x, **_: x)
_identity.def_abstract_eval(lambda x, **_: x)
ad.primitive_jvps[_identity] = _jvp
batching.primitive_batchers[_identity] = _batch
mlir.register_lowering(_identity, lambda context, x, **_: [x])

_tangent = Primitive("reverse_only_tangent")
_tangent.def_impl(_raise)
_tangent.def_abstract_eval(lambda x, **_: x)
ad.primitive_jvps[_tangent] = _raise
ad.primitive_transposes[_tangent] = lambda cotangent, x, **_: [cotangent]
batching.primitive_batchers[_tangent] = _raise
mlir.register_lowering(_tangent, _raise)
