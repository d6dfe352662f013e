"""The weights of an LSTM as JSON, for the JavaScript of a page."""

import base64
from typing import Any, Literal

import numpy as np
from flax import nnx

from jaxnets import functional as F
from jaxnets.nn.recurrent.stack import RecurrentStack


def lstm_weights(
    recurrent: RecurrentStack,
    output: nnx.Linear,
    dtype: Literal["float16", "float32"] = "float16",
) -> dict[str, Any]:
    """Return the weights of an LSTM and the linear layer on its outputs.

    Args:
        recurrent: LSTM layers in one direction, with the default activations and
            without peepholes, projections and clipping.
        output: The linear layer.
        dtype: How each number is written: float16 rounds to 11 binary digits and
            takes half of the space. An array with numbers beyond it is written as
            float32.

    Returns:
        `{"layers": [{"w_xh", "w_hh", "b"}, ...], "output": {"kernel", "bias"}}`. Each
        array is `{"shape", "dtype", "data"}`, whose data are the numbers in row-major
        order, little-endian, as base64.

    Raises:
        ValueError: If the layers have what the JavaScript does not, or a weight is not
            finite.

    Example:
        >>> from jaxnets import nn
        >>> layer = nn.LSTM(3, 2, rngs=nnx.Rngs(0))
        >>> output = nnx.Linear(2, 5, rngs=nnx.Rngs(0))
        >>> lstm_weights(layer, output)["layers"][0]["w_xh"]["shape"]
        [3, 8]
    """
    layers = []
    for directions in recurrent.layer_params:
        params = directions[0]
        plain = (
            len(directions) == 1
            and isinstance(params, F.LSTMParams)
            and params.peephole is None
            and params.w_hr is None
        )
        if not plain:
            raise ValueError(
                "`recurrent` has two directions, peepholes or a projection, or is no "
                "LSTM; wanted `nn.LSTM` without them."
            )
        names = ("w_xh", "w_hh", "b")
        layers.append({name: _packed(getattr(params, name), dtype) for name in names})
    linear = {"kernel": output.kernel, "bias": output.bias}
    return {
        "layers": layers,
        "output": {name: _packed(array, dtype) for name, array in linear.items()},
    }


def _packed(array: Any, dtype: str) -> dict[str, Any]:
    given = np.asarray(array[...])
    with np.errstate(over="ignore"):
        numbers = given.astype(dtype)
    if not np.isfinite(numbers).all():
        numbers = given.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError(
            "A weight is not finite; wanted a network that trained without overflow."
        )
    data = numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()
    return {
        "shape": list(numbers.shape),
        "dtype": numbers.dtype.name,
        "data": base64.b64encode(data).decode(),
    }
