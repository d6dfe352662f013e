"""Activations, and derivatives that are computed from an activation's result."""

import functools
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array


# An elementwise function, such as `jnp.tanh` or `jax.nn.sigmoid`.
Activation = Callable[[Array], Array]

# The derivative of an activation as a function of its result.
SLOPES: dict[Activation, Activation] = {
    jax.nn.sigmoid: lambda y: y * (1 - y),
    jnp.tanh: lambda y: 1 - y * y,
    jax.nn.tanh: lambda y: 1 - y * y,
    jax.nn.relu: lambda y: (y > 0).astype(y.dtype),
}


def activated(name: str, activation: Activation, a: Array) -> Array:
    """Apply the activation that was passed as the option `name`.

    Raises:
        TypeError: If the result is not an array.
        ValueError: If the result has another shape, which broadcasting would hide.
    """
    result = activation(a)
    if result is None or isinstance(result, tuple | list | dict | str):
        raise TypeError(
            f"`{name}` returns a value of type {type(result).__name__}; wanted an "
            "elementwise function, such as `jnp.tanh`."
        )
    if jnp.shape(result) != a.shape:
        raise ValueError(
            f"`{name}` returns shape {jnp.shape(result)} for an input of shape "
            f"{a.shape}; wanted an elementwise function, such as `jnp.tanh`."
        )
    return result


def clipped(a: Array, clip: float | None) -> Array:
    """Clip a pre-activation to `[-clip, clip]`, unless `clip` is None."""
    return a if clip is None else jnp.clip(a, -clip, clip)


# The activations of standard cells.
TANH: tuple[Activation, ...] = (jnp.tanh, jax.nn.tanh)
SIGMOID: tuple[Activation, ...] = (jax.nn.sigmoid,)


def has_slope(activation: Activation) -> bool:
    """Return whether `SLOPES` has the derivative of `activation`."""
    try:
        return activation in SLOPES
    except TypeError:  # a callable that cannot be hashed
        return False


def canonical(activation: Activation) -> Activation:
    """Return the function of `SLOPES` that `activation` is a copy of, or itself.

    `copy.deepcopy` and cloudpickle copy the functions of JAX that are compiled or have
    a derivative of their own, and leave the former without a name. So copies are
    recognised by their programs.
    """
    if has_slope(activation) or not isinstance(activation, _COPIED):
        return activation
    try:
        return _known_programs().get(_program(activation), activation)
    except Exception:  # The call itself will raise it, and name the option.
        return activation


# Only functions of these types are copied. The type of compiled functions has no
# public name.
_COPIED = type(jnp.tanh), jax.custom_jvp


@functools.cache
def _known_programs() -> dict[tuple[Any, ...], Activation]:
    """Return the functions of `SLOPES` by their programs."""
    return {_program(activation): activation for activation in reversed(SLOPES)}


def _program(activation: Activation) -> tuple[Any, ...]:
    """Return a description of what `activation` computes, derivative included."""
    jaxpr = jax.make_jaxpr(activation)(jax.ShapeDtypeStruct((), jnp.float32))
    # A copy loses the names inside its program. The program of a derivative is not
    # part of it, so a function that has one must have the right name itself.
    text = re.sub(r"name=(<[^>]*>|\S+)", "", str(jaxpr))
    own = isinstance(activation, jax.custom_jvp)
    name = (activation.__module__, activation.__qualname__) if own else ()
    return text, *name


def from_result(activation: Activation) -> Activation:
    """Return the same function with a derivative whose only residual is its result.

    The result is a residual anyway, because gates are factors of products. JAX's own
    derivative would store another array.
    """
    if not has_slope(activation):
        return activation
    return functools.partial(_from_result, activation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _from_result(activation: Activation, a: Array) -> Array:
    return activation(a)


def _forward(activation: Activation, a: Array) -> tuple[Array, Array]:
    result = activation(a)
    return result, result


def _backward(activation: Activation, result: Array, ct: Array) -> tuple[Array]:
    return (ct * SLOPES[activation](result),)


_from_result.defvjp(_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def known_result(activation: Activation, a: Array, result: Array) -> Array:
    """Return `result`, which is `activation(a)`, with the derivative of the latter."""
    del activation, a
    return result


def _known_forward(activation: Activation, a: Array, result: Array):
    del activation, a
    return result, result


def _known_backward(activation: Activation, result: Array, ct: Array):
    return ct * SLOPES[activation](result), jnp.zeros_like(result)


known_result.defvjp(_known_forward, _known_backward)
