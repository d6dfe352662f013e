"""The parts of blocks that hold no convolution: normalisation and activation."""

from collections.abc import Callable

import jax
from flax import nnx

from jaxnets.arguments import as_switch, check_callable, described
from jaxnets.functional.shared.barriers import computed_once
from jaxnets.nn.normalization import BatchNorm
from jaxnets.typing import ArrayLike


def norm(features: int, batch_norm: bool, *, rngs: nnx.Rngs) -> Callable:
    """Return a `BatchNorm` layer, or the identity if `batch_norm` is False.

    Args:
        features: C, channels of the feature maps.
        batch_norm: Whether to normalise.
        rngs: Source of randomness.

    Returns:
        `BatchNorm` with its defaults, which are those of He et al. 2015, or `identity`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> nn.norm(2, False, rngs=nnx.Rngs(0))(jnp.array([3.0, 4.0]))
        Array([3., 4.], dtype=float32)
    """
    return made_norm(norm_class(batch_norm), features, rngs)


def norm_class(batch_norm: bool) -> type[BatchNorm] | None:
    """Return what makes the normalisation, or None if `batch_norm` is False."""
    return BatchNorm if as_switch(batch_norm, "batch_norm") else None


def made_norm(make: Callable | None, features: int, rngs: nnx.Rngs) -> Callable:
    """Return the layer that `make`, the switch `norm` of a block, makes."""
    if make is None:
        return identity
    wanted = "None, or what makes a layer from `features` and `rngs`: `nn.BatchNorm`"
    check_callable("norm", make, wanted)
    layer = make(features, rngs=rngs)
    if not callable(layer):
        raise TypeError(f"`norm` makes a layer {described(layer)}; wanted {wanted}.")
    return layer


def relu(x: ArrayLike) -> jax.Array:
    """Return `max(x, 0)`, computed once however many operations read it."""
    return computed_once(jax.nn.relu(x))


def identity(x: jax.Array) -> jax.Array:
    """Return `x`."""
    return x
