"""Plain and residual blocks of two convolutions, and stacks of them."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Float

from jaxnets.arguments import (
    as_array,
    as_count,
    as_switch,
    described,
)
from jaxnets.functional.shared.barriers import computed_once
from jaxnets.nn.convolution import Conv
from jaxnets.nn.inputs import as_images, check_preserved
from jaxnets.nn.module import CompiledModule
from jaxnets.nn.normalization import BatchNorm
from jaxnets.nn.options import check_range, stream
from jaxnets.nn.parameters import check_counts
from jaxnets.tap import branch, tap
from jaxnets.typing import ArrayLike


Features = Float[ArrayLike, "batch height width channels"]
Outputs = Float[Array, "batch out_height out_width out_channels"]

# A loop copies the residuals of every step into arrays of all steps; a short stack is
# unrolled to avoid that.
_MAX_UNROLLED = 4


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


class Stack(CompiledModule):
    """Equal blocks in sequence, applied by a scan, so depth adds no compile time.

    A stack of up to four blocks is unrolled, which avoids copying the residuals of
    every block into stacked arrays. In both cases taps inside the blocks get an axis
    `(layers,)`.

    Args:
        make_block: Function that makes one block from an `nnx.Rngs`.
        count: Number of blocks, at least 1.
        rngs: Source of randomness; its `params` stream is split between the blocks.

    Attributes:
        blocks: One block whose parameters have a leading axis of length `count`.

    Raises:
        TypeError: If `count` is not an int, or `make_block` does not make a module.
        ValueError: If `count` is below 1; in a call, if a block changes the shape or
            the dtype of its input.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> make = lambda rngs: nn.PlainBlock(4, 4, rngs=rngs)
        >>> stack = nn.Stack(make, 3, rngs=nnx.Rngs(0))
        >>> stack.blocks.branch.first.kernel.shape
        (3, 3, 3, 4, 4)
        >>> stack(jnp.ones((2, 8, 8, 4))).shape
        (2, 8, 8, 4)
    """

    def __init__(
        self,
        make_block: Callable[[nnx.Rngs], nnx.Module],
        count: int,
        *,
        rngs: nnx.Rngs,
    ):
        count = as_count(count, "count", meaning="the number of blocks")
        if not callable(make_block) or isinstance(make_block, nnx.Module):
            raise TypeError(
                f"`make_block` is {described(make_block)}; wanted a function that "
                "makes a block, such as `lambda rngs: nn.PlainBlock(8, 8, rngs=rngs)`."
            )
        definitions: list[Any] = []

        def make_state(key: jax.Array) -> Any:
            block = make_block(nnx.Rngs(key))
            if not isinstance(block, nnx.Module):
                raise TypeError(
                    f"`make_block` returns {described(block)}; wanted an `nnx.Module`."
                )
            definition, state = nnx.split(block)
            definitions.append(definition)
            return state

        states = jax.vmap(make_state)(jax.random.split(stream(rngs, "params")(), count))
        self.blocks = nnx.merge(definitions[-1], states)
        for _, variable in nnx.iter_graph(self.blocks):
            if isinstance(variable, nnx.Variable):
                # The first axis of a parameter is now that of the blocks.
                sharding = variable.get_metadata().get("out_sharding")
                if sharding:
                    variable.set_metadata(out_sharding=(None, *sharding))
        self.count = count

    def __call__(
        self, x: Float[ArrayLike, "*shape"], *block_arguments
    ) -> Float[Array, "*shape"]:
        """Apply the blocks to `x` one after the other; each preserves its shape.

        Args:
            x: Input of the first block.
            *block_arguments: Further arguments, passed to every block.
        """
        x = as_array(x, "x")
        definition, params, rest = nnx.split(self.blocks, nnx.Param, ...)

        def apply(x, states):
            block = nnx.merge(definition, *states)
            y = block(x, *block_arguments)
            check_preserved(x, y)
            return y, nnx.split(block, nnx.Param, ...)[2]

        short = self.count <= _MAX_UNROLLED
        y, rest = jax.lax.scan(apply, x, (params, rest), unroll=short)
        nnx.update(self.blocks, rest)
        return y


def norm(features: int, batch_norm: bool, *, rngs: nnx.Rngs) -> Callable:
    """Return a `BatchNorm` layer, or the identity if `batch_norm` is False.

    Args:
        features: C, channels of the feature maps.
        batch_norm: Whether to normalise.
        rngs: Source of randomness.

    Returns:
        `BatchNorm` with its defaults, which are those of He et al. 2015, or `identity`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> nn.norm(2, False, rngs=nnx.Rngs(0))(jnp.array([3.0, 4.0]))
        Array([3., 4.], dtype=float32)
    """
    if not as_switch(batch_norm, "batch_norm"):
        return identity
    return BatchNorm(features, rngs=rngs)


def relu(x: ArrayLike) -> jax.Array:
    """Return `max(x, 0)`, computed once however many operations read it."""
    return computed_once(jax.nn.relu(x))


def identity(x: jax.Array) -> jax.Array:
    """Return `x`."""
    return x
