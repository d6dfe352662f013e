"""One block with switches, and the plain and residual blocks of He et al. 2015."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxnets.arguments import as_switch
from jaxnets.functional.shared.barriers import computed_once
from jaxnets.nn.blocks.branch import Branch, Features, Outputs
from jaxnets.nn.blocks.parts import norm_class
from jaxnets.nn.inputs import as_images
from jaxnets.nn.module import CompiledModule
from jaxnets.nn.options import check_range, frozen
from jaxnets.nn.parameters import check_counts
from jaxnets.tap import branch, tap
from jaxnets.typing import ArrayLike


class Block(CompiledModule):
    """A block of a deep network, `y = g(shortcut(x) + s F(x) + b)`, set by switches.

    The branch F has one or two convolutions C with norms N and the activation f. From
    left to right it computes, with two,

        order "post":  C N f C N      and g = f (He et al. 2015),
        order "inner": C N f C N f    and g is the identity,
        order "pre":   N f C N f C    and g is the identity (He et al. 2016).

    The shortcut is the identity. If the block has strides or more output channels, the
    shortcut takes every `strides`-th position and pads the missing channels with zeros
    (option A of He et al. 2015, without parameters). Without a shortcut `y = g(F(x))`.
    `jaxnets.nn.block_options` returns the switches of published methods.

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, channels of the output, with a shortcut at least C_in.
        shortcut: Whether the block has a shortcut.
        strides: Strides of the first convolution and of the shortcut.
        branch_scale: s, a factor of the branch. Without normalisation a stack of L
            blocks needs about `1 / sqrt(L)`; otherwise its responses and gradients grow
            exponentially with L (Hayou et al. 2021, "Stable ResNet"). BatchNorm has the
            effect of such a factor (De and Smith 2020).
        learn_scale: Whether s is a parameter, which starts at `branch_scale`.
        scalar_biases: Whether the block adds one learned number before and after every
            convolution, in place of a bias for each channel (Fixup). The last of them
            is b, which is 0 otherwise.
        **options: Switches of the branch, with their defaults:

            - `layers=2`: the number of convolutions, 1 or 2.
            - `order="post"`: see above.
            - `norm=nn.BatchNorm`: makes N from the number of channels and `rngs`, such
              as `lambda c, rngs: nnx.GroupNorm(c, num_groups=4, rngs=rngs)`. With None
              nothing is normalised, and convolutions have biases.
            - `activation=jax.nn.relu`: f. With order "pre" it may change the number of
              channels, as `jaxnets.functional.crelu` does.
            - `kernel_init`: initialiser of the kernels, LeCun's by default.
            - `last_kernel_init=None`: initialiser of the last kernel; None is
              `kernel_init`.
            - `bias_init`: initialiser of the biases, zeros by default.
            - `rngs`: source of randomness; its `params` stream is used.

    Attributes:
        branch: F.
        branch_scale: s: a parameter of shape (), or the fixed number.
        shift: b: a parameter of shape (), or None.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If `out_features` is smaller than `in_features` with a shortcut; if
            there is a scale and no shortcut; if a choice is not known; if the
            activation changes the channels and the order is not "pre".

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> block = nn.Block(
        ...     3, 8, order="pre", norm=None, activation=jax.nn.gelu,
        ...     branch_scale=0.0, learn_scale=True, rngs=nnx.Rngs(0),
        ... )
        >>> x = jnp.ones((2, 8, 8, 3))
        >>> block(x).shape, bool((block(x)[..., :3] == x).all())
        ((2, 8, 8, 8), True)

    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", equation 1;
    He et al. 2016, "Identity Mappings in Deep Residual Networks", figure 1;
    `jaxnets.nn.block_options` names the sources of the other switches.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        shortcut: bool = True,
        strides: int = 1,
        branch_scale: float = 1.0,
        learn_scale: bool = False,
        scalar_biases: bool = False,
        **options,
    ):
        check_counts(in_features=in_features, out_features=out_features)
        check_range(branch_scale, "branch_scale", -math.inf)
        branch_scale = frozen(branch_scale)
        learn_scale = as_switch(learn_scale, "learn_scale")
        self.shortcut = as_switch(shortcut, "shortcut")
        if shortcut and out_features < in_features:
            raise ValueError(
                f"`out_features` is {out_features}; wanted at least `in_features` = "
                f"{in_features}: the shortcut can pad channels, not drop them."
            )
        if not shortcut and (learn_scale or branch_scale != 1):
            raise ValueError(
                f"`branch_scale` is {branch_scale} and `learn_scale` {learn_scale}, "
                "but `shortcut` is False; wanted no scale, since there is no other "
                "term. Scale the kernel with its initialiser."
            )
        options |= {"strides": strides, "scalar_biases": scalar_biases}
        self.branch = Branch(in_features, out_features, **options)
        learned = lambda number: nnx.Param(jnp.float32(number))
        self.branch_scale = learned(branch_scale) if learn_scale else branch_scale
        self.shift = learned(0.0) if scalar_biases else None
        self.strides = frozen(strides)
        self.padded_features = out_features - in_features

    def __call__(self, x: Features, gradient_scale: float | ArrayLike = 1.0) -> Outputs:
        """Map `x (B, h, w, C_in)` to `(B, h / strides, w / strides, C_out)`.

        Args:
            x: Feature maps.
            gradient_scale: Factor of the gradient through the branch, for
                `jaxnets.gradflow.effective_path_length`. It does not change the output.
        """
        x = as_images(x, self.branch.in_features)
        y = self.branch(x)
        if self.shortcut:
            y = self._carried(x) + branch(self.branch_scale * y, gradient_scale)
        else:
            y = branch(y, gradient_scale)
        if self.shift is not None:
            y = y + self.shift
        if self.branch.order == "post":
            y = computed_once(self.branch.activation(y))
        return tap(y, "block")

    def contribution(self, x: Features) -> Float[Array, ""]:
        """Return `|s F(x)| / |shortcut(x)|`, with norms over all elements.

        Args:
            x: Feature maps.

        Raises:
            TypeError: If the block has no shortcut.
        """
        if not self.shortcut:
            raise TypeError(
                "The block has no shortcut, to which the branch could be compared; "
                "wanted a block with `shortcut=True`."
            )
        x = as_images(x, self.branch.in_features)
        added = self.branch_scale * self.branch(x)
        return jnp.linalg.norm(added.ravel()) / jnp.linalg.norm(
            self._carried(x).ravel()
        )

    def _carried(self, x: jax.Array) -> jax.Array:
        """Return what the shortcut carries."""
        x = x[:, :: self.strides, :: self.strides]
        if not self.padded_features:
            return x
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.padded_features)))


class PlainBlock(Block):
    """`y = relu(F(x))`: two convolutions without a shortcut.

    It is `Block` with `shortcut=False`.

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, channels of the output.
        batch_norm: Whether each convolution is followed by BatchNorm.
        **options: Switches of `Block`, such as `strides`, `kernel_init` and `rngs`.

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

    def __init__(
        self, in_features: int, out_features: int, *, batch_norm: bool = True, **options
    ):
        options |= {"shortcut": False, "norm": norm_class(batch_norm)}
        super().__init__(in_features, out_features, **options)


class ResidualBlock(Block):
    """`y = relu(shortcut(x) + s F(x))`: two convolutions and a shortcut connection.

    It is `Block` with `shortcut=True`.

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, at least C_in.
        batch_norm: Whether each convolution is followed by BatchNorm.
        **options: Switches of `Block`, such as `strides`, `branch_scale`, `kernel_init`
            and `rngs`.

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
        self, in_features: int, out_features: int, *, batch_norm: bool = True, **options
    ):
        options |= {"shortcut": True, "norm": norm_class(batch_norm)}
        super().__init__(in_features, out_features, **options)
