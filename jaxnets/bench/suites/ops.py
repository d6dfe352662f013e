"""Single operations: convolutions and pools, forward and with all gradients."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxnets import functional as F
from jaxnets.bench.cases import Case, Program, with_gradients
from jaxnets.bench.grid import Row


Function = Callable[..., jax.Array]


def cases(row: Row) -> Iterator[Case]:
    """Yield the two cases of a row: forward, and forward with all gradients."""
    programs = _programs(row.spec)
    in_torch = row.spec["layers"] is None
    yield Case(row, "forward", programs, in_torch)
    yield Case(row, "gradients", with_gradients(programs), in_torch)


def _programs(spec: dict[str, Any]) -> dict[str, Program]:
    x_key, kernel_key, bias_key = jax.random.split(jax.random.key(1, impl="rbg"), 3)
    dtype = jnp.dtype(spec["dtype"])
    shape = (spec["batch"], *spec["spatial"], spec["channels"])
    x = jax.random.normal(x_key, shape, dtype)
    window = (spec["window"],) * len(spec["spatial"])
    if "features" not in spec:
        return _pools(spec, x, window)
    channels = spec["channels"] // spec["groups"]
    shape = (spec["layers"] or 1, *window, channels, spec["features"])
    # With this scale a stack of layers keeps the scale of its input.
    scale = jnp.asarray(math.prod(shape[1:-1]) ** -0.5, dtype)
    kernels = scale * jax.random.normal(kernel_key, shape, dtype)
    if spec["function"] == "conv_transpose":
        return _transposed(spec, x, kernels[0])
    ours, flax = _conv(spec), _lax_conv(spec)
    if not spec["layers"]:
        arguments = (x, kernels[0])
        return {"ours": Program(ours, arguments), "flax": Program(flax, arguments)}
    stacks = [kernels]
    if spec.get("relu"):
        ours, flax = _with_bias_and_relu(ours), _with_bias_and_relu(flax)
        stacks.append(jax.random.normal(bias_key, (shape[0], shape[-1]), dtype))
    each = [parameter for stack in stacks for parameter in stack]
    return {
        "ours": Program(_scanned(ours), (x, *stacks)),
        "flax": Program(_scanned(flax), (x, *stacks)),
        "outside": Program(_unrolled(ours, shape[0]), (x, *each)),
    }


def same_pad(spec: dict[str, Any]) -> int:
    """Return the padding of each side that keeps the size at stride 1."""
    return spec["dilation"] * (spec["window"] - 1) // 2


def _conv(spec: dict[str, Any]) -> Function:
    return lambda x, kernel: F.conv(
        x,
        kernel,
        strides=spec["strides"],
        padding=same_pad(spec),
        kernel_dilation=spec["dilation"],
        feature_group_count=spec["groups"],
    )


def _lax_conv(spec: dict[str, Any]) -> Function:
    """Return the call that `flax.nnx.Conv` makes, in the same layout."""
    n = len(spec["spatial"])
    channels_last = (0, n + 1, *range(1, n + 1))
    layout = jax.lax.ConvDimensionNumbers(
        channels_last, (n + 1, n, *range(n)), channels_last
    )
    pad = same_pad(spec)
    return lambda x, kernel: jax.lax.conv_general_dilated(
        x,
        kernel,
        (spec["strides"],) * n,
        [(pad, pad)] * n,
        rhs_dilation=(spec["dilation"],) * n,
        dimension_numbers=layout,
        feature_group_count=spec["groups"],
    )


def _with_bias_and_relu(conv: Function) -> Function:
    return lambda x, kernel, bias: jax.nn.relu(conv(x, kernel) + bias)


def _scanned(layer: Function) -> Function:
    def apply(x, *stacks):
        return jax.lax.scan(lambda h, own: (layer(h, *own), None), x, stacks)[0]

    return apply


def _unrolled(layer: Function, count: int) -> Function:
    """Apply a layer `count` times, without a loop.

    The parameters are the kernels of all layers, followed by their biases if any.
    """

    def apply(x, *parameters):
        for i in range(count):
            x = layer(x, *parameters[i::count])
        return x

    return apply


def _transposed(spec, x: jax.Array, kernel: jax.Array) -> dict[str, Program]:
    strides = spec["strides"]
    ours = lambda x, kernel: F.conv_transpose(x, kernel, strides=strides)
    # `flax.nnx.ConvTranspose` does not flip the kernel as the transpose of a
    # convolution does, so it gets one that is flipped.
    flipped = jnp.flip(kernel, range(kernel.ndim - 2))
    flax = lambda x, kernel: jax.lax.conv_transpose(
        x, kernel, (strides,) * len(spec["spatial"]), "SAME"
    )
    return {"ours": Program(ours, (x, kernel)), "flax": Program(flax, (x, flipped))}


def _pools(spec, x: jax.Array, window: tuple[int, ...]) -> dict[str, Program]:
    strides = (spec["strides"],) * len(window)
    our_pool = getattr(F, spec["function"])
    flax_pool = getattr(linen, spec["function"])
    return {
        "ours": Program(lambda x: our_pool(x, window, strides=strides), (x,)),
        "flax": Program(lambda x: flax_pool(x, window, strides=strides), (x,)),
    }
