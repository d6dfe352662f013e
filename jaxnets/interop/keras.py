"""Keras: the weights of `SimpleRNN`, `GRU`, `LSTM`, and of `Bidirectional` of them."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.functional import GRUParams
from jaxnets.functional.recurrence.arguments import check_shape
from jaxnets.interop.layers import (
    GATES,
    TYPES,
    Layers,
    added_biases,
    check_matrix,
    gates_of,
    parse_layers,
    reordered,
    split_biases,
)


# Keras's i, f, c, o is our i, f, g, o, and its candidate h of the GRU our n.
KERAS_GATES = {"rnn": "h", "gru": "zrn", "lstm": "ifgo"}


def from_keras(weights: Sequence[Any], kind: str) -> Layers:
    """Read the weights of Keras's `SimpleRNN`, `GRU` or `LSTM` layers.

    A layer has `kernel (D, G*H)`, `recurrent_kernel (H, G*H)` and `bias (G*H,)`; a
    `Bidirectional` one those of its forward and then of its backward layer. The columns
    of a GRU go from z, r, h to r, z, n. Where its bias is `(2, 3*H)`, the form of
    `reset_after=True`, the two rows are added except for the candidate, where the
    second becomes `b_hn`.

    Args:
        weights: What `layer.get_weights()` returns, for each layer:
            `[layer.get_weights() for layer in (first, second)]`.
        kind: "rnn", "gru" or "lstm".

    Returns:
        One tuple a layer, `(forward,)` or `(forward, backward)`. With `use_bias=False`
        b is zero and `b_hn` None.

    Raises:
        TypeError: If `weights` is not one list of arrays a layer.
        ValueError: If a layer has another number of arrays, or a shape does not fit.

    Example:
        >>> import numpy as np
        >>> from jaxnets.functional import lstm
        >>> from jaxnets.interop import from_keras
        >>> ones = lambda *shape: np.ones(shape, np.float32)
        >>> [(params,)] = from_keras([[ones(3, 8), ones(2, 8), ones(8)]], "lstm")
        >>> lstm(params, ones(5, 6, 3))[1].shape
        (5, 6, 2)

    Source: Keras 3, `keras/src/layers/rnn`. Which form of the GRU to run is not in the
    weights: give Keras's `reset_after`, True by default, to `gru`. A layer with
    `go_backwards=True` returns its outputs in the order in which it met them; ours with
    `reverse=True` leaves them at their time.
    """
    gates_of(kind)
    per_layer = []
    for number, arrays in enumerate(weights):
        name = f"weights[{number}]"
        if not isinstance(arrays, list | tuple):
            raise TypeError(
                f"`{name}` is of type {type(arrays).__name__}; wanted a list of arrays "
                "for each layer. One layer is [layer.get_weights()]."
            )
        if len(arrays) not in (2, 3, 4, 6):
            raise ValueError(
                f"`{name}` has {len(arrays)} arrays; wanted kernel, recurrent_kernel "
                "and, with `use_bias`, bias; or those of two directions."
            )
        size = 3 if len(arrays) % 3 == 0 else 2
        ways = [arrays[k : k + size] for k in range(0, len(arrays), size)]
        per_layer.append(
            tuple(_params(kind, way, name, k * size) for k, way in enumerate(ways))
        )
    return per_layer


def to_keras(
    layers: Sequence[Any], *, use_bias: bool = True, reset_after: bool = True
) -> list[list[np.ndarray]]:
    """Write weights as those of Keras's `SimpleRNN`, `GRU` or `LSTM` layers.

    The inverse of `from_keras`. With `reset_after` the bias of a GRU is `(2, 3*H)`, b
    above zeros and `b_hn`; without, it is `(3*H,)`, and `b_hn`, which then stands
    outside of r, is added to b.

    Args:
        layers: One tuple a layer, `(forward,)` or `(forward, backward)`.
        use_bias: Keras's argument; False leaves the biases out, which must be zero.
        reset_after: Keras's argument of `GRU`; other layers do not have it.

    Returns:
        For each layer the list of NumPy arrays that `layer.set_weights` takes, that of
        a `Bidirectional` where the layer has two directions.

    Raises:
        TypeError: If `layers` is not a list of tuples of recurrent parameters.
        ValueError: If kinds are mixed or shapes do not fit, or for what Keras has not:
            peepholes and projections.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_gru
        >>> from jaxnets.interop import to_keras
        >>> params = init_gru(jax.random.key(0), 4, 3)
        >>> [[w.shape for w in layer] for layer in to_keras([(params, params)])]
        [[(4, 9), (3, 9), (2, 9), (4, 9), (3, 9), (2, 9)]]

    Source: as `from_keras`.
    """
    kind, parsed = parse_layers(layers, "Keras", ("b_hn",))
    return [
        [
            np.array(array)
            for params in layer
            for array in _arrays(kind, params, use_bias, reset_after)
        ]
        for layer in parsed
    ]


def _params(kind: str, arrays: Sequence[Any], name: str, first: int) -> Any:
    """Build the parameters of one direction; its arrays begin at index `first`."""
    gates = GATES[kind]
    names = [f"{name}[{first + k}]" for k in range(len(arrays))]
    for k in (0, 1):
        check_matrix(names[k], arrays[k])
    hidden = jnp.shape(arrays[1])[0]
    columns = len(gates) * hidden
    why = f"{len(gates)} gates of H = {hidden}, as `{names[1]}` and kind={kind!r} say"
    check_shape(names[0], arrays[0], (jnp.shape(arrays[0])[0], columns), why)
    check_shape(names[1], arrays[1], (hidden, columns), why)
    two_biases = kind == "gru" and jnp.ndim(arrays[-1]) == 2
    if len(arrays) == 3:
        wanted = (2, columns) if two_biases else (columns,)
        check_shape(names[2], arrays[2], wanted, why)

    ours = [reordered(jnp.asarray(w), KERAS_GATES[kind], gates) for w in arrays]
    if len(ours) == 2:
        return TYPES[kind](*ours, jnp.zeros(columns, ours[0].dtype))
    w_xh, w_hh, bias = ours
    if two_biases:
        b, b_hn = added_biases(kind, bias[0], bias[1])
        return GRUParams(w_xh, w_hh, b, b_hn)
    return TYPES[kind](w_xh, w_hh, bias)


def _arrays(
    kind: str, params: Any, use_bias: bool, reset_after: bool
) -> list[jax.Array]:
    """Return kernel, recurrent kernel and bias of one direction."""
    b_x, b_h = split_biases(params)
    bias = jnp.stack([b_x, b_h]) if kind == "gru" and reset_after else b_x + b_h
    arrays = [params.w_xh, params.w_hh]
    if use_bias:
        arrays.append(bias)
    elif jnp.any(b_x) or jnp.any(b_h):
        raise ValueError(
            "`use_bias` is False, but `layers` has biases other than zero."
        )
    return [reordered(array, GATES[kind], KERAS_GATES[kind]) for array in arrays]
