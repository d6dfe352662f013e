"""The options of cells: activations, clip, layer norm, zoneout and dropout.

Source: Ba et al. 2016, "Layer Normalization"; Krueger et al. 2016, "Zoneout:
Regularizing RNNs by Randomly Preserving Hidden Activations"; Gal and Ghahramani 2016,
"A Theoretically Grounded Application of Dropout in Recurrent Neural Networks".
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.arguments import as_switch, check_key, check_number
from jaxnets.functional.recurrence.activations import Activation, canonical
from jaxnets.functional.recurrence.arguments import (
    as_bound,
    as_clip,
    check_array,
    check_callables,
    check_shape,
)
from jaxnets.functional.shared.sharding import expand_rank
from jaxnets.typing import ArrayLike


class LayerNormParams(NamedTuple):
    """Gains of the layer normalisation in a cell; the biases are those of the cell.

    Attributes:
        gain_h: Gains of the product of the state with `w_hh`, `(G*H,)`. In `rnn`, gains
            of the whole pre-activation, `(H,)`.
        gain_x: Gains of the product of the input with `w_xh`, `(G*H,)`; None in `rnn`.
        gain_c: Gains of the memory cell before the output activation of `lstm`,
            `(H,)`; None in other cells.
        bias_c: Biases of the normalised memory cell `(H,)`; None in other cells.

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


class CellOptions(NamedTuple):
    """The parsed options of a cell. The defaults are the standard form.

    Attributes:
        activation: Activation of the candidate.
        gate_activation: Activation of the gates.
        output_activation: Activation of the memory cell in the output.
        clip: Bound of the pre-activations, or None.
        layer_norm: `LayerNormParams`, or None.
        zoneout: A rate for each array of the state.
        clip_cotangent: Bound of `dL/dh_t`, or None.
        switches: The switches that only this kind of cell has, by name.
    """

    activation: Activation = jnp.tanh
    gate_activation: Activation = jax.nn.sigmoid
    output_activation: Activation = jnp.tanh
    clip: float | None = None
    layer_norm: LayerNormParams | None = None
    zoneout: tuple[float, ...] = (0.0, 0.0)
    clip_cotangent: float | None = None
    switches: Mapping[str, bool] = MappingProxyType({})


class Draws(NamedTuple):
    """Random draws of zoneout, of one step or of all: which units keep their value.

    Attributes:
        h: Booleans for the output; None if none of its units does.
        c: Booleans for the memory cell; None if none of its units does.
    """

    h: Any = None
    c: Any = None


_EPSILON = 1e-5


def check_cell_options(
    switches: Iterable[str], *, clip: Any = None, **options: Any
) -> dict[str, bool]:
    """Check the values of cell options; layers call this in their constructor.

    Args:
        switches: The names of those of `options` that are true or false.
        clip: The user's option.
        **options: The switches, and the activations.

    Returns:
        The switches.
    """
    values = {name: as_switch(options.pop(name), name) for name in switches}
    check_callables(**options)
    as_clip(clip)
    return values


def parse_cell_options(
    switches: Iterable[str],
    sizes: dict[str, int],
    dtype: Any,
    state_arrays: int,
    *,
    layer_norm: Any = False,
    zoneout: Any = 0.0,
    clip_cotangent: Any = None,
    **options: Any,
) -> CellOptions:
    """Check the cell options of a call and return them parsed.

    Args:
        switches: The names of the cell's switches.
        sizes: Size of each field of `LayerNormParams` that the cell uses.
        dtype: Dtype of the gains for `layer_norm=True`.
        state_arrays: Number of arrays of the state; each has its zoneout rate.
        layer_norm: The user's option.
        zoneout: The user's option.
        clip_cotangent: The user's option.
        **options: The switches and the other fields of `CellOptions`.
    """
    values = check_cell_options(switches, **options)
    clip = as_clip(options.pop("clip"))
    activations = {
        name: canonical(option)
        for name, option in options.items()
        if name not in values
    }
    return CellOptions(
        **activations,
        clip=clip,
        switches=values,
        layer_norm=parse_layer_norm(layer_norm, dtype, sizes),
        zoneout=parse_zoneout(zoneout, state_arrays),
        clip_cotangent=as_bound("clip_cotangent", clip_cotangent, "`dL/dh_t`"),
    )


def parse_layer_norm(
    layer_norm: bool | LayerNormParams, dtype: Any, sizes: dict[str, int]
) -> LayerNormParams | None:
    """Check the shapes of the gains and return them; True gives gains of one.

    Args:
        layer_norm: The user's option.
        dtype: Dtype of the gains for True.
        sizes: Size of each field of `LayerNormParams` that the cell uses.
    """
    if layer_norm is False:
        return None
    if layer_norm is True:
        made = {
            name: (jnp.zeros if name == "bias_c" else jnp.ones)(size, dtype)
            for name, size in sizes.items()
        }
        return LayerNormParams(**made)
    if not isinstance(layer_norm, LayerNormParams):
        raise TypeError(
            f"`layer_norm` is of type {type(layer_norm).__name__}; wanted True, False "
            "or LayerNormParams."
        )
    for name, gain in layer_norm._asdict().items():
        size = sizes.get(name)
        if (gain is None) != (size is None):
            wanted = "None" if size is None else f"an array of shape ({size},)"
            raise ValueError(
                f"`layer_norm.{name}` is {'None' if gain is None else 'an array'}; "
                f"wanted {wanted} for this cell."
            )
        if size is not None:
            check_shape(f"layer_norm.{name}", gain, (size,), "one for each column")
    return layer_norm


def normalized(
    a: Float[Array, "*lead columns"], gain: Any, bias: Any = None
) -> Float[Array, "*lead columns"]:
    """Normalise the last axis of `a` to mean 0 and variance 1; apply gain and bias."""
    centred = a - jnp.mean(a, -1, keepdims=True)
    variance = jnp.mean(centred * centred, -1, keepdims=True)
    like_a = lambda v: expand_rank(jnp.asarray(v, a.dtype), a.ndim)
    result = centred * jax.lax.rsqrt(variance + _EPSILON) * like_a(gain)
    return result if bias is None else result + like_a(bias)


def check_rate(name: str, rate: Any) -> None:
    """Raise unless `rate` is a probability below 1."""
    check_number(name, rate, "a probability, 0 <= rate < 1")
    if not 0 <= rate < 1:
        raise ValueError(f"`{name}` is {rate}; wanted a probability, 0 <= rate < 1.")


def parse_zoneout(zoneout: Any, count: int) -> tuple[float, ...]:
    """Return `count` rates, from one number for all or from a pair if there are two."""
    pair = count > 1 and isinstance(zoneout, tuple | list)
    rates: tuple[Any, ...] = tuple(zoneout) if pair else (zoneout,) * count
    if len(rates) != count:
        raise ValueError(
            f"`zoneout` is {zoneout}; wanted one rate, or a pair of rates for h and c."
        )
    for rate in rates:
        check_rate("zoneout", rate)
    return tuple(map(float, rates))


def draw_zoneout(
    key: Any, rates: tuple[float, ...], shapes: list[tuple[Any, ...]]
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


def apply_zoneout(rate: float, keep: Any, before: Array, after: Array) -> Array:
    """Return `before` where `keep` is true; without draws, mix both by the rate."""
    if not rate:
        return after
    if keep is None:
        return rate * before + (1 - rate) * after
    return jnp.where(keep, before, after)


def dropout_mask(recurrent_dropout: Any, key: Any, shape: tuple[Any, ...]) -> Any:
    """Return the mask of recurrent dropout, which multiplies h in every step, or None.

    Args:
        recurrent_dropout: A rate, or the mask itself.
        key: Random key for the mask; without one, a rate gives no mask.
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
    keep_rate = 1 - recurrent_dropout
    key = jax.random.fold_in(key, 1)
    return jax.random.bernoulli(key, keep_rate, shape).astype(jnp.float32) / keep_rate


def apply_mask(h: Array, mask: Any) -> Array:
    """Multiply h by its dropout mask, unless that is None."""
    return h if mask is None else h * mask
