"""Rows of each kind that are small enough to compile and run fast."""

from jaxnets.bench.grid import DEFAULTS, Row


CONV = {
    "function": "conv",
    "dtype": "float32",
    "batch": 2,
    "spatial": [8, 7],
    "channels": 4,
    "features": 6,
    "window": 3,
}
POOL = {"dtype": "float32", "batch": 2, "spatial": [11, 8], "channels": 3}


def conv(**changes) -> Row:
    return Row("conv", DEFAULTS | CONV | changes)


def pool(function: str, window: int, strides: int) -> Row:
    options = {"function": function, "window": window, "strides": strides}
    return Row(function, DEFAULTS | POOL | options)


OPS = [
    conv(),
    conv(strides=2),
    conv(window=1, strides=2),
    conv(dilation=2),
    conv(groups=2),
    conv(features=4, groups=4),
    conv(spatial=[9], window=7),
    conv(spatial=[4, 5, 3]),
    conv(features=4, layers=3),
    conv(features=4, layers=3, relu=True),
    conv(dtype="bfloat16"),
    conv(function="conv_transpose", window=4, strides=2),
    *[
        pool(function, window, strides)
        for function in ("max_pool", "avg_pool")
        for window, strides in ((2, 2), (3, 2), (3, 1), (8, 8))
    ],
]
STACK = DEFAULTS | {"dtype": "float32", "batch": 2, "spatial": [5, 4], "channels": 4}
STACKS = [
    Row("stack", STACK | {"function": function, "layers": 6} | more)
    for function, more in (
        ("residual", {"outside": True}),
        ("residual", {"checkpoint": "binomial 2"}),
        ("reversible", {"checkpoint": "inverse"}),
    )
]
LSTM = Row(
    "lstm",
    {
        "function": "many_to_one",
        "dtype": "float32",
        "layers": None,
        "batch": 3,
        "time": 5,
        "in_features": 2,
        "hidden": 4,
        "classes": 3,
    },
)
RESNET = Row(
    "resnet",
    {
        "function": "resnet",
        "dtype": "float32",
        "layers": None,
        "batch": 4,
        "spatial": [8, 8],
        "channels": 3,
        "classes": 5,
        "depth": 8,
    },
)


def recurrence(function: str, **changes) -> Row:
    sizes = {"batch": 3, "time": 5, "in_features": 4, "hidden": 6}
    spec = {"function": function, "dtype": "float32", **sizes, **changes}
    return Row(function, DEFAULTS | spec)


RECURRENCES = [
    recurrence("rnn"),
    recurrence("gru"),
    recurrence("lstm"),
    recurrence("lstm", dtype="bfloat16"),
    recurrence("bidirectional_lstm", depth=2),
]
FLOW = recurrence("lstm", every=3)
FLOW_RESNET = Row("resnet", RESNET.spec | {"every": 3})
CHECKPOINT = recurrence("lstm", time=7, checkpoint="sqrt", time_major=True)
FORMS = [recurrence(name, forms=True) for name in ("gru", "min_lstm")]
