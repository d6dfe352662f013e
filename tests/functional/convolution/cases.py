"""The convolutions that `test_transforms` combines with every transformation."""

import numpy as np

from jaxnets.functional.convolution.causal import causal_conv
from jaxnets.functional.convolution.depthwise import depthwise_conv, separable_conv
from jaxnets.functional.convolution.general import conv
from jaxnets.functional.convolution.transposed import conv_transpose
from jaxnets.functional.pooling.patches import fold, unfold
from tests.cases import Case


def arrays(seed: int, *shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return tuple(rng.uniform(-0.5, 0.5, shape).astype(np.float32) for shape in shapes)


CASES = [
    Case("conv-plain", conv, arrays(0, (3, 5, 4, 2), (3, 2, 2, 3))),
    Case(
        "conv-strided-same",
        lambda x, kernel, bias: conv(
            x, kernel, bias, strides=(2, 3), padding_mode="replicate"
        ),
        arrays(1, (2, 7, 5, 3), (3, 3, 3, 2), (2,)),
    ),
    Case(
        "conv-dilated-grouped",
        lambda x, kernel: conv(
            x,
            kernel,
            padding=((2, 1), 1),
            input_dilation=(1, 2),
            kernel_dilation=(2, 1),
            feature_group_count=2,
        ),
        arrays(2, (2, 5, 4, 4), (2, 3, 2, 6)),
    ),
    Case(
        "conv-circular-1d",
        lambda x, kernel, bias: conv(x, kernel, bias, padding_mode="circular"),
        arrays(3, (2, 3, 7, 2), (4, 2, 3), (3,)),
    ),
    Case(
        "conv-3d",
        lambda x, kernel, bias: conv(
            x,
            kernel,
            bias,
            padding=(0, 1, (1, 0)),
            padding_mode="symmetric",
            strides=2,
        ),
        arrays(4, (2, 5, 3, 4, 2), (3, 2, 2, 2, 3), (3,)),
    ),
    Case(
        "conv-lax-unbatched",
        lambda x, kernel: conv(x, kernel, padding="SAME_LOWER", implementation="lax"),
        arrays(5, (6, 5, 2), (2, 3, 2, 3)),
        batched={},
    ),
    Case(
        "conv-transpose-grouped",
        lambda x, kernel, bias: conv_transpose(
            x,
            kernel,
            bias,
            strides=(2, 1),
            padding=((1, 0), 1),
            output_padding=(0, 1),
            kernel_dilation=(1, 2),
            feature_group_count=2,
        ),
        arrays(6, (2, 3, 4, 4), (3, 2, 2, 6), (6,)),
    ),
    Case(
        "depthwise-multiplied",
        lambda x, kernel: depthwise_conv(x, kernel, strides=2, padding_mode="reflect"),
        arrays(7, (3, 5, 4, 3), (3, 2, 3, 2)),
    ),
    Case(
        "separable",
        separable_conv,
        arrays(8, (2, 5, 3), (3, 3, 2), (1, 6, 4), (4,)),
    ),
    Case(
        "causal-with-state",
        lambda x, kernel, state: causal_conv(x, kernel, state=state, kernel_dilation=2),
        arrays(9, (2, 3, 2), (3, 2, 4), (2, 4, 2)),
        batched={0: 0, 2: 0},
    ),
    Case(
        "unfold-strided",
        lambda x: unfold(
            x, (3, 2), strides=(2, 1), padding="SAME", padding_mode="symmetric"
        ),
        arrays(10, (2, 5, 4, 3)),
    ),
    Case(
        "fold-dilated",
        lambda patches: fold(patches, (6,), (3,), padding=1, window_dilation=2),
        arrays(11, (2, 4, 3, 2)),
    ),
]
