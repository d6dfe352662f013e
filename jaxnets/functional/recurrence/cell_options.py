"""Cell options that rnn, gru and lstm share: layer norm, zoneout, recurrent dropout.

Source: Ba et al. 2016, "Layer Normalization"; Krueger et al. 2016, "Zoneout:
Regularizing RNNs by Randomly Preserving Hidden Activations"; Gal and Ghahramani 2016,
"A Theoretically Grounded Application of Dropout in Recurrent Neural Networks".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.functional.recurrence.arguments import (
    check_array,
    check_key,
    check_number,
    check_shape,
)
from jaxnets.typing import ArrayLike


class LayerNormParams(NamedTuple):
    """Gains of the layer normalisation in a cell; the biases are those of the cell.

    Attributes:
        gain_h: `(G*H,)`, of the state's share of the pre-activations. In `rnn`, `(H,)`,
            of the whole pre-activation.
        gain_x: `(G*H,)`, of the input's share. None in `rnn`.
        gain_c: `(H,)`, of the memory cell of `lstm` on its way out, otherwise None.
        bias_c: `(H,)`, the same.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import LayerNormParams, gru, init_gru
        >>> params = init_gru(jax.random.key(0), 4, 3)
        >>> norms = LayerNormParams(gain_h=jnp.full(9, 0.5), gain_x=jnp.ones(9))
        >>> gru(params, jnp.ones((5, 4)), layer_norm=norms)[1].shape
        (5, 3)

    Source: Ba et al. 2016, "Layer Normalization". Flax, Keras and PyTorch have no such
    cells.
    """

    gain_h: ArrayLike
    gain_x: ArrayLike | None = None
    gain_c: ArrayLike | None = None
    bias_c: ArrayLike | None = None


class Draws(NamedTuple):
    """Which units of one step, or of all, keep their last value; None: none does.

    Attributes:
        h: Booleans, of the output.
        c: Booleans, of the memory cell.
    """

    h: Any = None
    c: Any = None


_EPSILON = 1e-5


def parse_layer_norm(
    layer_norm: bool | LayerNormParams,
    dtype: Any,
    *,
    gain_h: int,
    gain_x: int | None = None,
    gain_c: int | None = None,
) -> LayerNormParams | None:
    """Return the gains, ones of `dtype` for True, after a look at their shapes.

    The sizes are those of the network; None is where it has no such gain.
    """
    if layer_norm is False:
        return None
    sizes = (gain_h, gain_x, gain_c, gain_c)
    if layer_norm is True:
        ones = lambda size: None if size is None else jnp.ones(size, dtype)
        bias_c = None if gain_c is None else jnp.zeros(gain_c, dtype)
        gains = jnp.ones(gain_h, dtype), ones(gain_x), ones(gain_c)
        return LayerNormParams(*gains, bias_c)
    if not isinstance(layer_norm, LayerNormParams):
        raise TypeError(
            f"`layer_norm` is of type {type(layer_norm).__name__}; wanted True, False "
            "or LayerNormParams."
        )
    for name, gain, size in zip(
        LayerNormParams._fields, layer_norm, sizes, strict=True
    ):
        if (gain is None) != (size is None):
            wanted = "None" if size is None else f"an array of shape ({size},)"
            raise ValueError(
                f"`layer_norm.{name}` is {'None' if gain is None else 'an array'}; "
                f"wanted {wanted} in this network."
            )
        if size is not None:
            check_shape(f"layer_norm.{name}", gain, (size,), "one for each column")
    return layer_norm


def normalized(
    a: Float[Array, "*lead columns"], gain: Any, bias: Any = None
) -> Float[Array, "*lead columns"]:
    """Give the last axis of `a` mean 0 and variance 1, then gain and bias."""
    centred = a - jnp.mean(a, -1, keepdims=True)
    variance = jnp.mean(centred * centred, -1, keepdims=True)
    spread = lambda v: jnp.broadcast_to(jnp.asarray(v, a.dtype), a.shape)
    a = centred * jax.lax.rsqrt(variance + _EPSILON) * spread(gain)
    return a if bias is None else a + spread(bias)


def check_rate(name: str, rate: Any) -> None:
    """Raise unless `rate` is a probability below 1."""
    check_number(name, rate, "a probability, 0 <= rate < 1")
    if not 0 <= rate < 1:
        raise ValueError(f"`{name}` is {rate}; wanted a probability, 0 <= rate < 1.")


def parse_zoneout(zoneout: Any) -> tuple[float, float]:
    """Return the rates of h and c, from a pair or one number for both."""
    pair = isinstance(zoneout, tuple | list)
    rates = tuple(zoneout) if pair else (zoneout, zoneout)
    if len(rates) != 2:
        raise ValueError(
            f"`zoneout` is {zoneout}; wanted a rate, or one for h and one for c."
        )
    for rate in rates:
        check_rate("zoneout", rate)
    return rates


def draw_zoneout(
    key: Any,
    rates: tuple[float, ...],
    shapes: tuple[tuple[int, ...], ...],
) -> Draws:
    """Draw which units keep their value; without a key, or at rate 0, none does."""
    if key is None:
        return Draws()
    check_key(key)
    keys = jax.random.split(jax.random.fold_in(key, 0), 2)
    drawn = [
        jax.random.bernoulli(key, rate, shape) if rate else None
        for key, rate, shape in zip(keys, rates, shapes, strict=False)
    ]
    return Draws(*drawn)


def zoned(rate: float, kept: Any, before: Array, after: Array) -> Array:
    """Keep `before` where `kept` says so, or on average where nothing was drawn."""
    if not rate:
        return after
    if kept is None:
        return rate * before + (1 - rate) * after
    return jnp.where(kept, before, after)


def dropout_mask(recurrent_dropout: Any, key: Any, shape: tuple[int, ...]) -> Any:
    """Return what multiplies the state of each sequence in every step, or None.

    Args:
        recurrent_dropout: A rate, or the mask itself.
        key: Random key of the mask; None draws none.
        shape: `(*batch, P)`.
    """
    if getattr(recurrent_dropout, "ndim", 0):
        why = "the batch axes of the input and the size of the output"
        check_array("recurrent_dropout", recurrent_dropout)
        check_shape("recurrent_dropout", recurrent_dropout, shape, why)
        return jnp.asarray(recurrent_dropout)
    wanted = f"a probability, 0 <= rate < 1, or the mask itself, of shape {shape}"
    check_number("recurrent_dropout", recurrent_dropout, wanted)
    check_rate("recurrent_dropout", recurrent_dropout)
    if key is None or not recurrent_dropout:
        return None
    check_key(key)
    keeps = 1 - recurrent_dropout
    key = jax.random.fold_in(key, 1)
    return jax.random.bernoulli(key, keeps, shape).astype(jnp.float32) / keeps


def masked(h: Array, mask: Any) -> Array:
    """Multiply the state with its dropout mask, if there is one."""
    return h if mask is None else h * jnp.asarray(mask, h.dtype)
