"""Keras: the weights of `SimpleRNN`, `GRU`, `LSTM`, also inside a `Bidirectional`."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.arguments import as_switch
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
    rows_of,
    split_biases,
)


# The order of our gates in Keras's columns. Keras calls our g of the LSTM "c", and our
# candidate n of the GRU "h".
KERAS_GATES = {"rnn": "h", "gru": "zrn", "lstm": "ifgo"}


def from_keras(weights: Sequence[Any], kind: str) -> Layers:
    """Read the weights of Keras's `SimpleRNN`, `GRU` or `LSTM` layers.

    A layer has `kernel (D, G*H)`, `recurrent_kernel (H, G*H)` and `bias (G*H,)`. A
    `Bidirectional` layer has those of its forward layer and then those of its backward
    layer. The columns of a GRU are reordered from z, r, h to r, z, n. With
    `reset_after=True` the bias of a GRU is `(2, 3*H)`; its rows are added, except for
    the candidate, where the second row becomes `b_hn`.

    Args:
        weights: The lists of arrays that `layer.get_weights()` returns, one per layer:
            `[layer.get_weights() for layer in (first, second)]`.
        kind: "rnn", "gru" or "lstm".

    Returns:
        One tuple per layer, `(forward,)` or `(forward, backward)`. With
        `use_bias=False` `b` is zero and `b_hn` is None.

    Raises:
        TypeError: If `weights` is not a list with one list of arrays per layer.
        ValueError: If `weights` is empty, a layer has the wrong number of arrays, or a
            shape does not fit.

    Example:
        >>> import numpy as np
        >>> from jaxnets.functional import lstm
        >>> from jaxnets.interop import from_keras
        >>> ones = lambda *shape: np.ones(shape, np.float32)
        >>> [(params,)] = from_keras([[ones(3, 8), ones(2, 8), ones(8)]], "lstm")
        >>> lstm(params, ones(5, 6, 3))[1].shape
        (5, 6, 2)

    Source: Keras 3, `keras/src/layers/rnn`. The weights do not say which form of GRU
    they belong to: pass the layer's `reset_after`, which is True by default, to `gru`.
    A layer with `go_backwards=True` returns its outputs in the order in which it
    computes them; ours with `reverse=True` returns them in the order of time.
    """
    gates_of(kind)
    per_layer = []
    single = "Pass a single layer as [layer.get_weights()]."
    for number, arrays in enumerate(rows_of(weights, "weights", single)):
        name = f"weights[{number}]"
        if not isinstance(arrays, list | tuple):
            raise TypeError(
                f"`{name}` is of type {type(arrays).__name__}; wanted one list of "
                f"arrays per layer. {single}"
            )
        if len(arrays) not in (2, 3, 4, 6):
            raise ValueError(
                f"`{name}` has {len(arrays)} arrays; wanted kernel, recurrent_kernel "
                "and, with `use_bias`, bias, for one direction or for two."
            )
        size = 3 if len(arrays) % 3 == 0 else 2
        starts = range(0, len(arrays), size)
        per_layer.append(
            tuple(_params(kind, arrays[k : k + size], name, k) for k in starts)
        )
    return per_layer


def to_keras(
    layers: Sequence[Any], *, use_bias: bool = True, reset_after: bool = True
) -> list[list[np.ndarray]]:
    """Write weights as those of Keras's `SimpleRNN`, `GRU` or `LSTM` layers.

    This is the inverse of `from_keras`. With `reset_after=True` the bias of a GRU is
    `(2, 3*H)`: the first row is `b`, the second is zero except for `b_hn`. With
    `reset_after=False` it is `(3*H,)`; then r does not multiply `b_hn`, which is added
    to `b`.

    Args:
        layers: One tuple per layer, `(forward,)` or `(forward, backward)`.
        use_bias: Keras's argument. False leaves out the biases, which must be zero.
        reset_after: The argument of Keras's `GRU`. Other layers ignore it.

    Returns:
        One list of NumPy arrays per layer, for `layer.set_weights`. For a layer of two
        directions it is the list of a `Bidirectional`.

    Raises:
        TypeError: If `layers` is not a list of tuples of recurrent parameters.
        ValueError: If kinds are mixed, if shapes do not fit, or if `layers` has what
            Keras does not support: peepholes and projections.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_gru
        >>> from jaxnets.interop import to_keras
        >>> params = init_gru(jax.random.key(0), 4, 3)
        >>> [[w.shape for w in layer] for layer in to_keras([(params, params)])]
        [[(4, 9), (3, 9), (2, 9), (4, 9), (3, 9), (2, 9)]]

    Source: as `from_keras`.
    """
    as_switch(use_bias, "use_bias")
    as_switch(reset_after, "reset_after")
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
    """Return our parameters for one direction, whose first array has index `first`."""
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
    """Return the kernel, recurrent kernel and bias of one direction."""
    b_x, b_h = split_biases(params)
    bias = jnp.stack([b_x, b_h]) if kind == "gru" and reset_after else b_x + b_h
    arrays = [params.w_xh, params.w_hh]
    if use_bias:
        arrays.append(bias)
    elif jnp.any(b_x) or jnp.any(b_h):
        raise ValueError(
            "`use_bias` is False, but `layers` has biases that are not zero. Pass "
            "`use_bias=True`."
        )
    return [reordered(array, GATES[kind], KERAS_GATES[kind]) for array in arrays]
