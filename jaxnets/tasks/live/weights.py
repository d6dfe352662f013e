"""The weights of networks as JSON, for the JavaScript of a page."""

import base64
from types import EllipsisType
from typing import Any, Literal

import numpy as np
from flax import nnx

from jaxnets import functional as F
from jaxnets import models, nn
from jaxnets.nn.recurrent.stack import RecurrentStack


def lstm_weights(
    recurrent: RecurrentStack,
    output: nnx.Linear,
    dtype: Literal["int8", "float16", "float32"] = "float16",
) -> dict[str, Any]:
    """Return the weights of an LSTM and the linear layer on its outputs.

    Args:
        recurrent: LSTM layers in one direction, with the default activations and
            without peepholes, projections and clipping.
        output: The linear layer.
        dtype: How each number is written: float16 rounds to 11 binary digits and
            takes half of the space. An array with numbers beyond it is written as
            float32. int8 takes a quarter: each column of a matrix is rounded to 255
            steps between minus and plus its largest number, and a bias to float16.

    Returns:
        `{"layers": [{"w_xh", "w_hh", "b"}, ...], "output": {"kernel", "bias"}}`. Each
        array is `{"shape", "dtype", "data"}`, whose data are the numbers in row-major
        order, little-endian, as base64. With int8 a matrix has also a `scale`, the
        array of what the numbers of each column are multiplied by.

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


def resnet_weights(model: models.ResNet) -> dict[str, Any]:
    """Return the weights of a residual network for its evaluation mode.

    A BatchNorm after a convolution is there an affine map of each channel, so it goes
    into the kernel and a bias:

        scale (K x - mean) / sqrt(var + epsilon) + bias = K' x + b'

    Args:
        model: A network with BatchNorm.

    Returns:
        `{"stem", "blocks": [{"first", "second", "strides"}, ...], "output"}`. The
        convolutions and the output are `{"kernel", "bias"}`, whose arrays are those of
        `lstm_weights` in float32.

    Raises:
        ValueError: If the network has no BatchNorm, or a weight is not finite.

    Example:
        >>> model = models.ResNet(6, 1, 10, widths=(4, 8), rngs=nnx.Rngs(0))
        >>> weights = resnet_weights(model)
        >>> [block["strides"] for block in weights["blocks"]]
        [1, 2]
    """
    if not isinstance(model.stem_norm, nn.BatchNorm):
        raise ValueError("`model` has no BatchNorm; wanted one with `batch_norm=True`.")
    blocks = []
    for part in (part for stage in model.stages for part in stage):
        if isinstance(part, nn.Stack):
            blocks += [_block(part.blocks, number) for number in range(part.count)]
        else:
            blocks.append(_block(part, ...))
    output = {"kernel": model.output.kernel, "bias": model.output.bias}
    return {
        "stem": _folded(model.stem, model.stem_norm, ...),
        "blocks": blocks,
        "output": {name: _packed(array, "float32") for name, array in output.items()},
    }


def _block(block: Any, number: int | EllipsisType) -> dict[str, Any]:
    """Return the weights of a block; `number` is its place in a stack."""
    branch = block.branch
    return {
        "first": _folded(branch.first, branch.first_norm, number),
        "second": _folded(branch.second, branch.second_norm, number),
        "strides": block.strides,
    }


def _folded(conv: nn.Conv, norm: nn.BatchNorm, number: int | EllipsisType) -> dict:
    """Return the weights of a convolution and the BatchNorm after it."""
    exact = lambda array: np.asarray(array[number], np.float64)
    variables = (norm.scale, norm.bias, norm.mean, norm.var)
    scale, bias, mean, var = map(exact, variables)
    factor = scale / np.sqrt(var + norm.epsilon)
    kernel = exact(conv.kernel) * factor
    folded = {"kernel": kernel, "bias": bias - mean * factor}
    return {name: _packed(array, "float32") for name, array in folded.items()}


def _packed(array: Any, dtype: str) -> dict[str, Any]:
    given = np.asarray(array[...])
    if dtype == "int8" and given.ndim == 2 and np.isfinite(given).all():
        scale = (np.max(np.abs(given), axis=0) / 127).astype(np.float32)
        scale[scale == 0] = 1
        steps = np.clip(np.rint(given / scale), -127, 127).astype(np.int8)
        return _encoded(steps) | {"scale": _encoded(scale)}
    dtype = "float16" if dtype == "int8" else dtype
    with np.errstate(over="ignore"):
        numbers = given.astype(dtype)
    if not np.isfinite(numbers).all():
        numbers = given.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError(
            "A weight is not finite; wanted a network that trained without overflow."
        )
    return _encoded(numbers)


def _encoded(numbers: np.ndarray) -> dict[str, Any]:
    data = numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()
    return {
        "shape": list(numbers.shape),
        "dtype": numbers.dtype.name,
        "data": base64.b64encode(data).decode(),
    }
