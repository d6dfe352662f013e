"""Causal convolution over time as a Flax NNX module."""

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Shaped

from jaxnets import functional as F
from jaxnets.functional.shared.arguments import as_count
from jaxnets.nn.options import frozen
from jaxnets.nn.parameters import bias_or_none, cast, check_groups, held, parameter
from jaxnets.typing import ArrayLike


class CausalConv(nnx.Module):
    """Convolution over time with a learned kernel; no output sees a later input.

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, features of the output.
        kernel_size: k, taps in time.
        kernel_dilation: d, distance of the taps in time.
        feature_group_count: Groups of channels that do not mix.
        precision: Precision of the products.
        use_bias: Whether a bias is added.
        kernel_init: Initialiser of the kernel; variance 1/fan_in.
        bias_init: Initialiser of the bias.
        dtype: Dtype to compute in; None takes that of input, state and kernel.
        param_dtype: Dtype of kernel and bias.
        rngs: Source of randomness; its `params` stream is used.

    Attributes:
        kernel: `(k, C_in // groups, C_out)`.
        bias: `(C_out,)`, or None.

    Raises:
        TypeError: If a size is no int.
        ValueError: If the channels do not divide into the groups, or a size is too
            small.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.CausalConv(3, 5, 4, kernel_dilation=2, rngs=nnx.Rngs(0))
        >>> state, y = layer(jnp.ones((2, 7, 3)))
        >>> state.shape, y.shape
        ((2, 6, 3), (2, 7, 5))
        >>> state, y = layer(jnp.ones((2, 1, 3)), state)  # the next step

    `nn.Conv` with padding "CAUSAL" computes the same and keeps no state, as Flax and
    Keras do.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        *,
        kernel_dilation: int = 1,
        feature_group_count: int = 1,
        precision: jax.lax.PrecisionLike = None,
        use_bias: bool = True,
        kernel_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        bias_init: nnx.Initializer = initializers.zeros_init(),  # noqa: B008
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        groups = feature_group_count
        check_groups(groups, in_features, out_features)
        shape = (
            as_count(kernel_size, "kernel_size"),
            in_features // groups,
            out_features,
        )
        self.kernel = parameter(kernel_init, shape, param_dtype, rngs)
        self.bias = bias_or_none(use_bias, bias_init, out_features, param_dtype, rngs)
        self.kernel_dilation = kernel_dilation
        self.feature_group_count = groups
        self.precision = frozen(precision)
        self.dtype = dtype

    def __call__(
        self,
        x: Shaped[ArrayLike, "*batch_time_features"],
        state: Shaped[ArrayLike, "*batch_reach_features"] | None = None,
    ) -> tuple[
        Shaped[Array, "*batch_reach_features"], Shaped[Array, "*batch_time out"]
    ]:
        """Convolve the chunk `x (*batch, T, C_in)` that follows `state`.

        Args:
            x: Inputs, any number of steps.
            state: `(*batch, d * (k - 1), C_in)`, as the chunk before returned it; None
                is zeros.

        Returns:
            The state after `x`, and the outputs `(*batch, T, C_out)`.
        """
        arrays = x, self.kernel[...], held(self.bias), state
        x, kernel, bias, state = cast(self.dtype, *arrays)
        return F.causal_conv(
            x,
            kernel,
            bias,
            state=state,
            kernel_dilation=self.kernel_dilation,
            feature_group_count=self.feature_group_count,
            precision=self.precision,
        )
