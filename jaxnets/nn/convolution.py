"""Convolution, its transpose, and causal convolution as Flax NNX modules."""

from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Shaped

from jaxnets import functional as F
from jaxnets.arguments import as_count
from jaxnets.functional.shared.windows import Padding, PerAxis
from jaxnets.nn.module import CompiledModule, layer
from jaxnets.nn.options import freeze_options, options_of
from jaxnets.nn.parameters import (
    bias_or_none,
    cast,
    check_groups,
    parameter,
    value_or_none,
    window_of,
)
from jaxnets.typing import ArrayLike


class Convolution(CompiledModule):
    """What the convolutional layers share: they hold kernels and call a function.

    The fields of the subclasses, which are dataclasses, are the function's options.
    """

    _function: ClassVar[Callable]
    _kernels: ClassVar[tuple[str, ...]] = ("kernel",)
    kernel: nnx.Param
    bias: nnx.Param | None
    feature_group_count: int
    dtype: Any

    def __post_init__(self, in_features, out_features, kernel_size, *others):
        groups = self.feature_group_count
        check_groups(groups, in_features, out_features)
        shape = (*window_of(kernel_size), in_features // groups, out_features)
        self._initialise(shape, *others)

    def _initialise(self, shape, use_bias, kernel_init, bias_init, param_dtype, rngs):
        freeze_options(self, len(shape) - 2)
        self.kernel = parameter("kernel_init", kernel_init, shape, param_dtype, rngs)
        self.bias = bias_or_none(use_bias, bias_init, shape[-1], param_dtype, rngs)

    def __call__(
        self, x: Shaped[ArrayLike, "*batch_spatial_features"]
    ) -> Shaped[Array, "*batch_out out"]:
        """Transform `x (*batch, *spatial, C_in)` to `(*batch, *out, C_out)`."""
        return type(self)._function(*self._arrays(x), **self._options())

    def _arrays(self, x: Any, *more: Any) -> tuple[Any, ...]:
        """Return `x`, the parameters and further arrays in the dtype to compute in."""
        names = (*self._kernels, "bias")
        parameters = [value_or_none(getattr(self, name)) for name in names]
        return cast(self.dtype, x, *parameters, *more)

    def _options(self) -> dict[str, Any]:
        options = options_of(self)
        del options["dtype"]
        return options


@layer
class Conv(Convolution):
    """Convolution with a learned kernel and bias: `y = conv(x, kernel) + bias`.

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, channels of the output.
        kernel_size: Window, one int for each spatial axis, such as `(3, 3)`.
        strides: As in `jaxnets.functional.conv`, like the options that follow.
        padding: Padding of the spatial axes.
        padding_mode: What the padding contains.
        input_dilation: Distance between elements of the input.
        kernel_dilation: Distance between elements of the kernel.
        feature_group_count: Number of groups of channels that do not mix.
        precision: Precision of the products.
        preferred_element_type: Dtype of the sums and the result.
        implementation: Name of the implementation to use; None chooses one.
        use_bias: Whether to add a bias.
        kernel_init: Initialiser of the kernel; by default that of LeCun et al. 1998,
            with variance 1/fan_in.
        bias_init: Initialiser of the bias.
        dtype: Dtype of the computation; None promotes those of input and parameters.
        param_dtype: Dtype of the parameters.
        rngs: Source of randomness; its `params` stream is used.

    Attributes:
        kernel: `(*kernel_size, C_in // groups, C_out)`.
        bias: `(C_out,)`, or None.

    Raises:
        TypeError: If `kernel_size` is a single int, which leaves the number of spatial
            axes open, or if a size is not an int.
        ValueError: If the groups do not divide the channels, or a size is too small.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.Conv(1, 4, (3, 3), rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((2, 8, 8, 1))).shape
        (2, 8, 8, 4)

    Unlike in `flax.nnx.Conv`, `kernel_size` must not be an int, which there means one
    spatial axis, and the padding mode is a separate argument.
    """

    _function = F.conv
    in_features: InitVar[int]
    out_features: InitVar[int]
    kernel_size: InitVar[PerAxis]
    _: KW_ONLY
    strides: PerAxis = 1
    padding: Padding = "SAME"
    padding_mode: str = "zeros"
    input_dilation: PerAxis = 1
    kernel_dilation: PerAxis = 1
    feature_group_count: int = 1
    precision: jax.lax.PrecisionLike = None
    preferred_element_type: Any = None
    implementation: str | None = None
    use_bias: InitVar[bool] = True
    kernel_init: InitVar[nnx.Initializer] = initializers.lecun_normal()
    bias_init: InitVar[nnx.Initializer] = initializers.zeros_init()
    dtype: Any = None
    param_dtype: InitVar[Any] = jnp.float32
    rngs: InitVar[nnx.Rngs]


@layer
class ConvTranspose(Convolution):
    """Transposed convolution with a learned kernel: `conv_transpose(x, kernel) + bias`.

    It reverses the change of shape of a convolution with the same options. So it
    enlarges images: `strides=2` and padding "SAME" double their size.

    The options are those of `jaxnets.functional.conv_transpose`; the other arguments,
    the attributes and the errors are those of `Conv`. The default initialiser
    computes the fan-in from the kernel's shape, whatever the strides.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.ConvTranspose(8, 3, (4, 4), strides=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((2, 8, 8, 8))).shape
        (2, 16, 16, 3)

    Unlike in `flax.nnx.ConvTranspose`, the kernel is flipped, there are groups and
    `output_padding`, and explicit padding crops the output.
    """

    _function = F.conv_transpose
    in_features: InitVar[int]
    out_features: InitVar[int]
    kernel_size: InitVar[PerAxis]
    _: KW_ONLY
    strides: PerAxis = 1
    padding: Padding = "SAME"
    output_padding: PerAxis = 0
    kernel_dilation: PerAxis = 1
    feature_group_count: int = 1
    precision: jax.lax.PrecisionLike = None
    implementation: str | None = None
    use_bias: InitVar[bool] = True
    kernel_init: InitVar[nnx.Initializer] = initializers.lecun_normal()
    bias_init: InitVar[nnx.Initializer] = initializers.zeros_init()
    dtype: Any = None
    param_dtype: InitVar[Any] = jnp.float32
    rngs: InitVar[nnx.Rngs]


@layer
class CausalConv(Convolution):
    """Convolution over time with a learned kernel; no output depends on later inputs.

    `kernel_size` is one int k, the length of the kernel in time, and `kernel_dilation`
    d the distance between its elements. The options are those of
    `jaxnets.functional.causal_conv`; the other arguments and the errors are those of
    `Conv`.

    Attributes:
        kernel: `(k, C_in // groups, C_out)`.
        bias: `(C_out,)`, or None.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.CausalConv(3, 5, 4, kernel_dilation=2, rngs=nnx.Rngs(0))
        >>> state, y = layer(jnp.ones((2, 7, 3)))
        >>> state.shape, y.shape
        ((2, 6, 3), (2, 7, 5))
        >>> state, y = layer(jnp.ones((2, 1, 3)), state)  # the next step

    `nn.Conv` with padding "CAUSAL" computes the same without a state, as Flax and
    Keras do.
    """

    in_features: InitVar[int]
    out_features: InitVar[int]
    kernel_size: InitVar[int]
    _: KW_ONLY
    kernel_dilation: int = 1
    feature_group_count: int = 1
    precision: jax.lax.PrecisionLike = None
    implementation: str | None = None
    use_bias: InitVar[bool] = True
    kernel_init: InitVar[nnx.Initializer] = initializers.lecun_normal()
    bias_init: InitVar[nnx.Initializer] = initializers.zeros_init()
    dtype: Any = None
    param_dtype: InitVar[Any] = jnp.float32
    rngs: InitVar[nnx.Rngs]

    def __post_init__(self, in_features, out_features, kernel_size, *others):
        window = (as_count(kernel_size, "kernel_size"),)
        super().__post_init__(in_features, out_features, window, *others)

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
            state: `(*batch, d * (k - 1), C_in)`, as returned for the previous chunk;
                None is zeros.

        Returns:
            The state after `x`, and the outputs `(*batch, T, C_out)`.
        """
        *arrays, state = self._arrays(x, state)
        return F.causal_conv(*arrays, state=state, **self._options())
