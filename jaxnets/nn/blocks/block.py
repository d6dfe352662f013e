"""Plain and residual blocks of two convolutions."""

import math

import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Float

from jaxnets.arguments import as_count, as_switch
from jaxnets.nn.blocks.parts import norm, relu
from jaxnets.nn.convolution import Conv
from jaxnets.nn.inputs import as_images
from jaxnets.nn.module import CompiledModule
from jaxnets.nn.options import check_range
from jaxnets.nn.parameters import check_counts
from jaxnets.tap import branch, tap
from jaxnets.typing import ArrayLike


Features = Float[ArrayLike, "batch height width channels"]
Outputs = Float[Array, "batch out_height out_width out_channels"]


class ConvBranch(CompiledModule):
    """The branch `F(x)` of He et al. 2015: convolution, ReLU, convolution.

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, output channels of both convolutions.
        strides: Strides of the first convolution.
        batch_norm: Whether each convolution is followed by BatchNorm (Ioffe and
            Szegedy 2015). Convolutions then have no bias, because BatchNorm subtracts
            it with the mean.
        kernel_init: Initialiser of both kernels.
        rngs: Source of randomness; its `params` stream is used.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> branch = nn.ConvBranch(3, 8, strides=2, rngs=nnx.Rngs(0))
        >>> branch(jnp.ones((2, 8, 8, 3))).shape
        (2, 4, 4, 8)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        strides: int = 1,
        batch_norm: bool = True,
        kernel_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        rngs: nnx.Rngs,
    ):
        as_switch(batch_norm, "batch_norm")
        check_counts(in_features=in_features, out_features=out_features)
        as_count(strides, "strides", meaning="the same on both axes")
        self.in_features = in_features

        def conv(features: int, strides: int) -> Conv:
            return Conv(
                features,
                out_features,
                (3, 3),
                strides=strides,
                use_bias=not batch_norm,
                kernel_init=kernel_init,
                rngs=rngs,
            )

        self.first = conv(in_features, strides)
        self.second = conv(out_features, 1)
        self.first_norm = norm(out_features, batch_norm, rngs=rngs)
        self.second_norm = norm(out_features, batch_norm, rngs=rngs)

    def __call__(self, x: Features) -> Outputs:
        """Map `x (B, height, width, C_in)` to `(B, height / s, width / s, C_out)`."""
        x = as_images(x, self.in_features)
        x = relu(self.first_norm(self.first(x)))
        return self.second_norm(self.second(x))


class PlainBlock(CompiledModule):
    """`y = relu(F(x))`: two convolutions without a shortcut.

    The arguments are those of `ConvBranch`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> block = nn.PlainBlock(3, 8, strides=2, rngs=nnx.Rngs(0))
        >>> block(jnp.ones((2, 8, 8, 3))).shape
        (2, 4, 4, 8)

    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", section
    3.3, plain network.
    """

    def __init__(self, in_features: int, out_features: int, **options):
        self.branch = ConvBranch(in_features, out_features, **options)

    def __call__(self, x: Features) -> Outputs:
        """Map `x (B, height, width, C_in)` to `(B, height / s, width / s, C_out)`."""
        return tap(relu(self.branch(x)), "block")


class ResidualBlock(CompiledModule):
    """`y = relu(shortcut(x) + s F(x))`: two convolutions and a shortcut connection.

    The shortcut is the identity. If the block has strides or more output channels, the
    shortcut takes every n-th position and pads the missing channels with zeros (option
    A of the paper, without parameters).

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, at least C_in.
        strides: Strides of the first convolution and of the shortcut.
        branch_scale: s, a fixed factor of the branch. Without BatchNorm a stack of N
            blocks needs about `1 / sqrt(N)`; otherwise its responses and gradients grow
            exponentially with N (Hayou et al. 2021, "Stable ResNet"). BatchNorm has the
            effect of such a factor (De and Smith 2020).
        **options: `batch_norm`, `kernel_init` and `rngs` of `ConvBranch`.

    Raises:
        ValueError: If `out_features` is smaller than `in_features`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> block = nn.ResidualBlock(3, 8, strides=2, rngs=nnx.Rngs(0))
        >>> block(jnp.ones((2, 8, 8, 3))).shape
        (2, 4, 4, 8)

    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", equation 1.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        strides: int = 1,
        branch_scale: float = 1.0,
        **options,
    ):
        check_counts(in_features=in_features, out_features=out_features)
        check_range(branch_scale, "branch_scale", -math.inf)
        if out_features < in_features:
            raise ValueError(
                f"`out_features` is {out_features}; wanted at least `in_features` = "
                f"{in_features}: the shortcut can pad channels, not drop them."
            )
        self.branch = ConvBranch(in_features, out_features, strides=strides, **options)
        self.branch_scale = branch_scale
        self.strides = strides
        self.padded_features = out_features - in_features

    def __call__(self, x: Features, gradient_scale: float | ArrayLike = 1.0) -> Outputs:
        """Map `x (B, height, width, C_in)` to `(B, height / s, width / s, C_out)`.

        Args:
            x: Feature maps.
            gradient_scale: Factor of the gradient through the branch, for
                `jaxnets.gradflow.effective_path_length`. It does not change the output.
        """
        x = as_images(x, self.branch.in_features)
        residual = branch(self.branch_scale * self.branch(x), gradient_scale)
        shortcut = x[:, :: self.strides, :: self.strides]
        if self.padded_features:
            widths = ((0, 0), (0, 0), (0, 0), (0, self.padded_features))
            shortcut = jnp.pad(shortcut, widths)
        return tap(relu(shortcut + residual), "block")
