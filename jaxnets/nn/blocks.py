"""Plain and residual blocks of two convolutions, and stacks of them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Float

from jaxnets.functional.shared.barriers import computed_once
from jaxnets.nn.conv import Conv
from jaxnets.nn.normalization import BatchNorm
from jaxnets.nn.options import stream
from jaxnets.tap import branch, tap
from jaxnets.typing import ArrayLike


Features = Float[ArrayLike, "batch height width channels"]
Outputs = Float[Array, "batch out_height out_width out_channels"]

# A loop copies what its way back needs into arrays of all steps: on CPU a training
# step of ResNet-20 took about 7% longer with its stacks of two and three as loops.
_MOST_UNROLLED = 4


class ConvBranch(nnx.Module):
    """What a block learns: convolution, ReLU, convolution, `F(x)` in He et al. 2015.

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, feature maps of both convolutions.
        strides: Strides of the first convolution.
        batch_norm: Whether each convolution is followed by BatchNorm (Ioffe &
            Szegedy 2015). Convolutions then have no bias: the mean takes it away.
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
        x = rectified(self.first_norm(self.first(x)))
        return self.second_norm(self.second(x))


class PlainBlock(nnx.Module):
    """`y = relu(F(x))`: two convolutions without a shortcut.

    Takes the arguments of `ConvBranch`.

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
        return tap(rectified(self.branch(x)), "block")


class ResidualBlock(nnx.Module):
    """`y = relu(shortcut(x) + s F(x))`: two convolutions and a shortcut connection.

    The shortcut is the identity; where the block strides or widens, it takes every
    n-th position and pads the missing channels with zeros (option A of the paper, no
    parameters).

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, at least C_in.
        strides: Strides of the first convolution and of the shortcut.
        branch_scale: `s`, a fixed factor of the branch. Without BatchNorm a stack of N
            blocks needs about `1 / sqrt(N)`, or its responses and gradients grow
            exponentially with N (Hayou et al. 2021, "Stable ResNet"); BatchNorm brings
            that factor about by itself (De & Smith 2020).
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
                `jaxnets.gradflow.effective_path_length`; the value does not change.
        """
        residual = branch(self.branch_scale * self.branch(x), gradient_scale)
        shortcut = x[:, :: self.strides, :: self.strides]
        if self.padded_features:
            widths = ((0, 0), (0, 0), (0, 0), (0, self.padded_features))
            shortcut = jnp.pad(shortcut, widths)
        return tap(rectified(shortcut + residual), "block")


class Stack(nnx.Module):
    """Blocks of one shape in a row, applied by a scan: depth costs no compile time.

    Up to four blocks are unrolled, which takes no longer to compile and spares the
    loop's copies of all that the way back needs. Either way, taps inside the blocks get
    an axis `(layers,)`.

    Args:
        make_block: Makes one block from an `nnx.Rngs`.
        count: How many blocks, at least 1.
        rngs: Source of randomness, split between the blocks.

    Attributes:
        blocks: One block whose parameters have a leading axis of length `count`.

    Raises:
        ValueError: If `count` is below 1.

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
        if count < 1:
            raise ValueError(f"`count` is {count}; wanted at least 1 block.")
        make_state = lambda key: nnx.split(make_block(nnx.Rngs(key)))[1]
        states = jax.vmap(make_state)(jax.random.split(stream(rngs, "params")(), count))
        one = nnx.eval_shape(lambda: make_block(nnx.Rngs(0)))
        self.blocks = nnx.merge(nnx.split(one)[0], states)
        self.count = count

    def __call__(
        self, x: Float[ArrayLike, "*shape"], *block_arguments
    ) -> Float[Array, "*shape"]:
        """Apply the blocks in turn to `x`, whose shape each of them keeps.

        Args:
            x: What the first block reads; each further block reads the one before.
            *block_arguments: Passed to every block, the same to each.
        """
        definition, params, rest = nnx.split(self.blocks, nnx.Param, ...)

        def apply(x, states):
            block = nnx.merge(definition, *states)
            y = block(x, *block_arguments)
            return y, nnx.split(block, nnx.Param, ...)[2]

        short = self.count <= _MOST_UNROLLED
        y, rest = jax.lax.scan(apply, x, (params, rest), unroll=short)
        nnx.update(self.blocks, rest)
        return y


def norm(features: int, batch_norm: bool, *, rngs: nnx.Rngs) -> Callable:
    """Return BatchNorm as He et al. 2015 use it, or the identity.

    Args:
        features: C, channels of the feature maps.
        batch_norm: Whether it is BatchNorm.
        rngs: Source of randomness.

    Returns:
        `BatchNorm` whose running statistics keep 0.9 of themselves, or `identity`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> nn.norm(2, False, rngs=nnx.Rngs(0))(jnp.array([3.0, 4.0]))
        Array([3., 4.], dtype=float32)
    """
    if not batch_norm:
        return identity
    return BatchNorm(features, rngs=rngs)


def rectified(x: ArrayLike) -> jax.Array:
    """Return `relu(x)`, computed once for the many that read it."""
    return computed_once(jax.nn.relu(x))


def identity(x: jax.Array) -> jax.Array:
    """Return `x`."""
    return x
