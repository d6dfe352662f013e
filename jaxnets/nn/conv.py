"""Convolution as a Flax NNX module: it holds the kernel and calls `functional`."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Inexact, Shaped

from jaxnets import functional as F
from jaxnets.nn.options import frozen
from jaxnets.typing import ArrayLike


class Conv(nnx.Module):
    """Convolution with a learned kernel and bias: `y = conv(x, kernel) + bias`.

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, feature maps of the output.
        kernel_size: Window, one int for each spatial axis, such as `(3, 3)`.
        strides: As in `jaxnets.functional.conv`, like the options that follow.
        padding: Padding of the spatial axes.
        padding_mode: What stands in the padding.
        kernel_dilation: Distance of the kernel's taps.
        feature_group_count: Groups of channels that do not mix.
        use_bias: Whether a bias is added.
        kernel_init: Initialiser of the kernel; LeCun et al. 1998, variance 1/fan_in.
        bias_init: Initialiser of the bias.
        dtype: Dtype to compute in; None takes that of input and kernel.
        param_dtype: Dtype of kernel and bias.
        rngs: Source of randomness; its `params` stream is used.

    Attributes:
        kernel: `(*kernel_size, C_in // groups, C_out)`.
        bias: `(C_out,)`, or None.

    Raises:
        TypeError: If `kernel_size` is a single int: the rank would be a guess.
        ValueError: If the channels do not divide into the groups.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.Conv(1, 4, (3, 3), rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((2, 8, 8, 1))).shape
        (2, 8, 8, 4)

    It differs from `flax.nnx.Conv`, where an int means one spatial axis and then takes
    an image for a batch of sequences, and has the padding modes as an own argument.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        *,
        strides: int | Sequence[int] = 1,
        padding="SAME",
        padding_mode: str = "zeros",
        kernel_dilation: int | Sequence[int] = 1,
        feature_group_count: int = 1,
        use_bias: bool = True,
        kernel_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        bias_init: nnx.Initializer = initializers.zeros_init(),  # noqa: B008
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        if isinstance(kernel_size, int):
            raise TypeError(
                f"`kernel_size` is the int {kernel_size}; wanted one int for each "
                f"spatial axis, such as ({kernel_size}, {kernel_size}) for images."
            )
        groups = feature_group_count
        if groups < 1 or in_features % groups or out_features % groups:
            raise ValueError(
                f"`feature_group_count` is {groups}; wanted a divisor of both "
                f"`in_features` = {in_features} and `out_features` = {out_features}."
            )
        shape = (*kernel_size, in_features // groups, out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, param_dtype))
        self.bias = (
            nnx.Param(bias_init(rngs.params(), (out_features,), param_dtype))
            if use_bias
            else None
        )
        self.strides = frozen(strides)
        self.padding = frozen(padding)
        self.padding_mode = padding_mode
        self.kernel_dilation = frozen(kernel_dilation)
        self.feature_group_count = groups
        self.dtype = dtype

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial_features"]
    ) -> Inexact[Array, "*batch_out out"]:
        """Convolve `x (*batch, *spatial, C_in)` to `(*batch, *out, C_out)`."""
        bias = None if self.bias is None else self.bias[...]
        x, kernel, bias = cast(self.dtype, x, self.kernel[...], bias)
        return F.conv(
            x,
            kernel,
            bias,
            strides=self.strides,
            padding=self.padding,
            padding_mode=self.padding_mode,
            kernel_dilation=self.kernel_dilation,
            feature_group_count=self.feature_group_count,
        )


def cast(dtype, *arrays):
    """Cast the arrays, a pytree, to the dtype a layer computes in; None leaves them."""
    if dtype is None:
        return arrays
    return jax.tree.map(lambda array: jnp.asarray(array, dtype), arrays)
