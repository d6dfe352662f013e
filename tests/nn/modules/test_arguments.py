"""Constructors of layers and blocks refuse wrong arguments by name.

Annotations are not enforced here, since they would raise before the library's errors.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import nn


pytestmark = pytest.mark.usefixtures("unchecked_annotations")


def rngs():
    return nnx.Rngs(0)


LAYERS = {
    "Conv": lambda **o: nn.Conv(
        *(o.pop(n, d) for n, d in [("in_features", 2), ("out_features", 4)]),
        o.pop("kernel_size", (3, 3)),
        rngs=rngs(),
        **o,
    ),
    "ConvTranspose": lambda **o: nn.ConvTranspose(2, 4, (3, 3), rngs=rngs(), **o),
    "CausalConv": lambda **o: nn.CausalConv(2, 4, 3, rngs=rngs(), **o),
    "DepthwiseConv": lambda **o: nn.DepthwiseConv(2, (3, 3), rngs=rngs(), **o),
    "SeparableConv": lambda **o: nn.SeparableConv(2, 4, (3, 3), rngs=rngs(), **o),
    "BatchNorm": lambda num_features=3, **o: nn.BatchNorm(
        num_features, rngs=rngs(), **o
    ),
    "MaxPool": lambda window_shape=2, **o: nn.MaxPool(window_shape, **o),
    "AvgPool": lambda **o: nn.AvgPool(2, **o),
    "LpPool": lambda **o: nn.LpPool(2, **o),
    "GlobalAvgPool": nn.GlobalAvgPool,
    "AdaptiveMaxPool": nn.AdaptiveMaxPool,
    "MaxUnpool": nn.MaxUnpool,
    "FractionalMaxPool": lambda window_shape=2, output_shape=3: nn.FractionalMaxPool(
        window_shape, output_shape, rngs=rngs()
    ),
    "RNN": lambda in_features=3, hidden=4, **o: nn.RNN(
        in_features, hidden, rngs=rngs(), **o
    ),
    "LSTM": lambda **o: nn.LSTM(3, 4, rngs=rngs(), **o),
    "MinLSTM": lambda **o: nn.MinLSTM(3, 4, rngs=rngs(), **o),
    "ConvLSTM": lambda hidden=4, kernel_size=(3, 3), **o: nn.ConvLSTM(
        3, hidden, kernel_size, rngs=rngs(), **o
    ),
    "ResidualBlock": lambda in_features=2, out_features=2, **o: nn.ResidualBlock(
        in_features, out_features, rngs=rngs(), **o
    ),
    "Stack": lambda make_block=None, count=2: nn.Stack(
        make_block or (lambda r: nn.PlainBlock(2, 2, rngs=r)), count, rngs=rngs()
    ),
}
# The layer, the argument, and values that have the wrong type or are wrong.
WRONG_TYPES = [
    ("Conv", "in_features", ["3", 2.0, True, None]),
    ("Conv", "kernel_size", [3, "33", (3, 2.0), None]),
    ("Conv", "strides", ["2", 1.5, None]),
    ("Conv", "padding", [None, 1.5, ((1, 2, 3), 1)]),
    ("Conv", "precision", [3]),
    ("Conv", "implementation", [3]),
    ("Conv", "preferred_element_type", ["float31"]),
    ("Conv", "kernel_init", ["he", 1.0, None]),
    ("Conv", "use_bias", [1, "no"]),
    ("Conv", "dtype", ["float31"]),
    ("Conv", "param_dtype", ["float31", None, jnp.int32]),
    ("DepthwiseConv", "multiplier", [1.5, True]),
    ("SeparableConv", "pointwise_init", [3]),
    ("BatchNorm", "momentum", ["0.9", True, None]),
    ("BatchNorm", "epsilon", ["0.1", None]),
    ("BatchNorm", "num_features", [2.0, True]),
    ("BatchNorm", "use_running_average", [1, None]),
    ("BatchNorm", "axis_name", [3]),
    ("BatchNorm", "dtype", ["float31", jnp.int32, jnp.complex64]),
    ("BatchNorm", "param_dtype", [jnp.complex64]),
    ("MaxPool", "window_shape", ["2", 2.0, None]),
    ("MaxPool", "ceil_mode", [1, None]),
    ("AvgPool", "divisor", ["2", True]),
    ("LpPool", "p", ["2", None]),
    ("GlobalAvgPool", "spatial_ndim", [1.5, True]),
    ("AdaptiveMaxPool", "output_shape", ["2", 1.5]),
    ("FractionalMaxPool", "output_shape", ["2", 1.5]),
    ("RNN", "in_features", ["3", 2.0, True, None]),
    ("RNN", "activation", ["relu", None]),
    ("RNN", "input_init", ["he", None]),
    ("RNN", "clip", ["1"]),
    ("RNN", "dtype", ["float31", jnp.int32]),
    ("RNN", "name", [3]),
    ("RNN", "num_layers", [1.5, True]),
    ("LSTM", "bidirectional", [1]),
    ("LSTM", "dropout", ["0.5", True]),
    ("LSTM", "param_dtype", ["float31", jnp.int32]),
    ("LSTM", "forget_bias", ["1", None]),
    ("LSTM", "projection", [1.5, True]),
    ("ConvLSTM", "kernel_size", [3, "33"]),
    ("ConvLSTM", "activation", ["relu"]),
    ("ConvLSTM", "peephole_shape", [3, "ab"]),
    ("ConvLSTM", "dtype", [jnp.int32]),
    ("ResidualBlock", "in_features", [2.0, "2"]),
    ("ResidualBlock", "strides", [(2, 2), 1.5]),
    ("ResidualBlock", "batch_norm", [1, None]),
    ("ResidualBlock", "branch_scale", ["1", None]),
    ("Stack", "make_block", [3, lambda r: 3]),
    ("Stack", "count", [1.5, True]),
]
WRONG_VALUES = [
    ("Conv", "out_features", [0, -1]),
    ("Conv", "kernel_size", [(0, 3)]),
    ("Conv", "strides", [0, (1, 1, 1)]),
    ("Conv", "padding", ["same", -1, (1, 1, 1), "CAUSAL"]),
    ("Conv", "padding_mode", ["zero"]),
    ("Conv", "kernel_dilation", [0]),
    ("Conv", "feature_group_count", [0, 3]),
    ("Conv", "kernel_init", [nnx.initializers.lecun_normal]),
    ("ConvTranspose", "output_padding", [-1]),
    ("CausalConv", "kernel_dilation", [0]),
    ("DepthwiseConv", "multiplier", [0]),
    ("BatchNorm", "num_features", [0]),
    ("BatchNorm", "momentum", [2.0, -0.1, float("nan")]),
    ("BatchNorm", "epsilon", [-1e-5, float("inf")]),
    ("MaxPool", "window_shape", [0, (2, -1)]),
    ("MaxPool", "strides", [0]),
    ("MaxPool", "padding", ["valid", -1]),
    ("AvgPool", "divisor", [0]),
    ("LpPool", "p", [0, -1.0]),
    ("GlobalAvgPool", "spatial_ndim", [0]),
    ("AdaptiveMaxPool", "output_shape", [0, (None, 0)]),
    ("MaxUnpool", "spatial_shape", [0]),
    ("FractionalMaxPool", "window_shape", [0]),
    ("RNN", "hidden", [0, -1]),
    ("RNN", "implementation", ["fast"]),
    ("RNN", "dropout", [1.5, -0.5]),
    ("RNN", "clip", [0.0, -1.0]),
    ("MinLSTM", "implementation", ["split"]),
    ("ConvLSTM", "hidden", [0]),
    ("ConvLSTM", "recurrent_kernel_size", [(3,), (0, 3)]),
    ("ConvLSTM", "peephole_shape", [(0, 1)]),
    ("ResidualBlock", "in_features", [0, 3]),
    ("ResidualBlock", "strides", [0]),
    ("Stack", "count", [0, -1]),
]
CASES = [
    pytest.param(layer, argument, value, kind, id=f"{layer}-{argument}-{number}")
    for kind, rows in ((TypeError, WRONG_TYPES), (ValueError, WRONG_VALUES))
    for layer, argument, values in rows
    for number, value in enumerate(values)
]


@pytest.mark.parametrize(("layer", "argument", "value", "kind"), CASES)
def test_a_constructor_names_the_wrong_argument(layer, argument, value, kind):
    with pytest.raises(kind, match=r"`(\w+)(\[\d\])?`.*wanted") as caught:
        LAYERS[layer](**{argument: value})
    names = {argument, "in_features"} if argument == "in_features" else {argument}
    if (layer, argument, value) == ("ResidualBlock", "in_features", 3):
        names = {"out_features"}
    assert any(f"`{name}" in str(caught.value) for name in names)
    # JAX adds a note to an error that passes through it.
    assert "JAX" not in str(caught.value).partition("`")[0]


ARRAYS = {
    "strides": lambda a: nn.MaxPool(2, strides=a(2)),
    "window": lambda a: nn.MaxPool(a([2, 2])),
    "divisor": lambda a: nn.AvgPool(2, divisor=a(2.0)),
    "p": lambda a: nn.LpPool(2, p=a(2.0)),
    "output_shape": lambda a: nn.AdaptiveAvgPool(a([3, 3])),
    "fractional": lambda a: nn.FractionalMaxPool(a(2), a([3, 3]), rngs=rngs()),
    "padding": lambda a: nn.Conv(2, 2, (3, 3), padding=a([1, 1]), rngs=rngs()),
    "groups": lambda a: nn.Conv(2, 2, (3, 3), feature_group_count=a(2), rngs=rngs()),
    "epsilon": lambda a: nn.BatchNorm(2, epsilon=a(1e-3), momentum=a(0.5), rngs=rngs()),
    "branch_scale": lambda a: nn.ResidualBlock(
        2, 2, strides=a(1), branch_scale=a(0.5), rngs=rngs()
    ),
}


@pytest.mark.parametrize("array", [np.array, jnp.array])
@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_options_that_are_arrays_are_no_state(make, array):
    made = lambda array: nnx.split(make(array), (nnx.Variable, nnx.RngState), ...)
    definition, _, rest = made(array)
    assert not rest
    assert jax.tree.structure(rest) == jax.tree.structure(
        made(lambda option: option)[2]
    )
    hash(definition)


@pytest.mark.parametrize(
    ("make", "x", "text"),
    [
        (
            lambda: nn.ResidualBlock(2, 2, rngs=rngs()),
            np.ones((4, 4, 2), np.float32),
            r"wanted images of shape \(batch, height, width, 2\)",
        ),
        (
            lambda: nn.PlainBlock(2, 2, rngs=rngs()),
            np.ones((1, 4, 4, 3), np.float32),
            r"`x` has shape \(1, 4, 4, 3\); wanted images",
        ),
        (
            lambda: nn.Stack(lambda r: nn.PlainBlock(2, 3, rngs=r), 2, rngs=rngs()),
            np.ones((1, 4, 4, 2), np.float32),
            r"`make_block` .* shape \(1, 4, 4, 2\) .* shape \(1, 4, 4, 3\)",
        ),
        (
            lambda: nn.Stack(lambda r: nn.PlainBlock(2, 2, rngs=r), 2, rngs=rngs()),
            jnp.ones((1, 4, 4, 2), jnp.bfloat16),
            "`make_block` .* dtype bfloat16 .* dtype float32",
        ),
    ],
)
def test_a_block_names_what_it_cannot_read(make, x, text):
    with pytest.raises(ValueError, match=text):
        make()(x)
