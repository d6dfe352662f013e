"""Plain and residual networks of a given depth for small images."""

from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Bool, Float

from jaxnets import nn
from jaxnets.arguments import as_count, as_switch, int_or_none
from jaxnets.models.arguments import as_features, as_widths
from jaxnets.nn.blocks.parts import relu
from jaxnets.nn.inputs import as_images
from jaxnets.nn.module import CompiledModule
from jaxnets.tap import scope, tap
from jaxnets.typing import ArrayLike


class _BlockNet(CompiledModule):
    """Stem, stages of blocks, global average pooling and a linear classifier."""

    block: ClassVar[type[nn.PlainBlock] | type[nn.ResidualBlock]]

    def __init__(
        self,
        depth: int,
        in_features: int,
        classes: int,
        *,
        widths: Sequence[int] = (16, 32, 64),
        batch_norm: bool = True,
        kernel_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        checkpoint: int | str | tuple[str, int] | None = None,
        rngs: nnx.Rngs,
    ):
        as_switch(batch_norm, "batch_norm")
        widths = as_widths(widths, "stage")
        blocks = blocks_in_a_stage(depth, len(widths))
        in_features = as_features(
            in_features,
            "the channels of the images, which may have any height and width",
            f"{type(self).__name__}({depth}, {{last}}, {classes}, ...)",
        )
        as_count(classes, "classes")
        self.in_features = in_features
        self.block_count = blocks * len(widths)
        options = {"batch_norm": batch_norm, "kernel_init": kernel_init}
        options |= self._block_options(self.block_count, batch_norm)
        self.stem = nn.Conv(
            in_features,
            widths[0],
            (3, 3),
            use_bias=not batch_norm,
            kernel_init=kernel_init,
            rngs=rngs,
        )
        self.stem_norm = nn.norm(widths[0], batch_norm, rngs=rngs)
        self.stages = nnx.List()
        features = widths[0]
        for number, width in enumerate(widths):
            stage = nnx.List()
            if number > 0:
                # It halves the image and adds channels, so it is not part of the stack.
                first = self.block(features, width, strides=2, rngs=rngs, **options)
                stage.append(first)
            equal_blocks = blocks - len(stage)
            if equal_blocks:
                make = lambda rngs, w=width: self.block(w, w, rngs=rngs, **options)
                stack = nn.Stack(make, equal_blocks, checkpoint=checkpoint, rngs=rngs)
                stage.append(stack)
            self.stages.append(stage)
            features = width
        self.pool = nn.GlobalAvgPool()
        self.output = nnx.Linear(features, classes, rngs=rngs)

    def _block_options(self, blocks: int, batch_norm: bool) -> dict:
        return {}

    def __call__(
        self,
        x: Float[ArrayLike, "batch height width channels"],
        *block_arguments,
        skipped: Bool[ArrayLike, " blocks"] | None = None,
    ) -> Float[Array, "batch classes"]:
        """Return the logits `(B, classes)` of images `x (B, height, width, C)`.

        Args:
            x: Images.
            *block_arguments: Further arguments, passed to every block.
            skipped: Booleans `(block_count,)`: the blocks that are left out, as in
                `jaxnets.nn.Stack`. The first block of a later stage, which changes the
                shape of its input, is never left out.
        """
        x = self._stem(x)
        start = 0
        for number, stage in enumerate(self.stages, 1):
            with scope(f"stage{number}"):
                for part in stage:
                    count = getattr(part, "count", 1)
                    own = {}
                    if skipped is not None and isinstance(part, nn.Stack):
                        own = {"skipped": skipped[start : start + count]}
                    x = part(x, *block_arguments, **own)
                    start += count
        return self.output(self.pool(x))

    def contributions(
        self, x: Float[ArrayLike, "batch height width channels"]
    ) -> Float[Array, " blocks"]:
        """Return `|F(x)| / |x|` of each block, as in `jaxnets.nn.Stack`.

        Args:
            x: Images.

        Raises:
            TypeError: If the blocks have no shortcut.
        """
        x = self._stem(x)
        found = []
        for stage in self.stages:
            for part in stage:
                stack = isinstance(part, nn.Stack)
                own = part.contributions(x) if stack else part.contribution(x)[None]
                found.append(own)
                x = part(x)
        return jnp.concatenate(found)

    def _stem(self, x: ArrayLike) -> jax.Array:
        x = as_images(x, self.in_features)
        return tap(relu(self.stem_norm(self.stem(x))), "stem")


class PlainNet(_BlockNet):
    """A plain convolutional network: He et al.'s ResNet without its shortcuts.

    Args:
        depth: Number of layers with weights, `2 n len(widths) + 2` for n blocks in each
            stage.
        in_features: C, channels of the images.
        classes: Number of classes.
        widths: Channels of each stage; each stage after the first halves the image.
        batch_norm: Whether each convolution is followed by BatchNorm.
        kernel_init: Initialiser of all kernels. The default, LeCun et al.'s variance
            `1 / fan_in`, is also Flax's.
        checkpoint: What the stack of each stage stores for the backward pass: None,
            "sqrt", an int or `("binomial", c)`, as in `jaxnets.nn.Stack`.
        rngs: Source of randomness; its `params` stream is used.

    Raises:
        TypeError: If an argument has the wrong type, such as a shape for `in_features`,
            or `checkpoint` is "inverse", which these blocks do not have.
        ValueError: If `depth` does not correspond to a whole number of blocks, or a
            size is below 1; in a call, if the images have other channels.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import models
        >>> model = models.PlainNet(8, 1, 10, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((5, 8, 8, 1))).shape
        (5, 10)

    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", section 4.2.
    """

    block = nn.PlainBlock


class ResNet(_BlockNet):
    """A residual network: a shortcut connection skips every two convolutions.

    `ResNet(20, 3, 10, rngs=rngs)` is the paper's ResNet-20 for CIFAR-10. The
    arguments and the parameters are those of `PlainNet`. Without BatchNorm each branch
    is multiplied by `1 / sqrt(blocks)` (see `jaxnets.nn.ResidualBlock`).

    Raises:
        TypeError: If an argument has the wrong type, such as a shape for `in_features`,
            or `checkpoint` is "inverse", which these blocks do not have.
        ValueError: If `depth` does not correspond to a whole number of blocks, or a
            size is below 1; in a call, if the images have other channels.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import models
        >>> model = models.ResNet(8, 1, 10, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((5, 8, 8, 1))).shape
        (5, 10)

    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", section 4.2;
    the factor: Hayou et al. 2021, "Stable ResNet".
    """

    block = nn.ResidualBlock

    def _block_options(self, blocks: int, batch_norm: bool) -> dict:
        return {} if batch_norm else {"branch_scale": blocks**-0.5}


def blocks_in_a_stage(depth: int, stages: int) -> int:
    """Return the number of blocks in each stage of a network of `depth` layers."""
    layers = int_or_none(depth)
    if layers is None:
        raise TypeError(
            f"`depth` is {depth!r}; wanted an int, the number of layers with weights, "
            "such as 20 in `ResNet(20, 3, 10, rngs=rngs)`."
        )
    blocks, rest = divmod(layers - 2, 2 * stages)
    if rest or blocks < 1:
        lower = max(1, blocks)
        nearest = [2 * stages * n + 2 for n in (lower, lower + 1)]
        raise ValueError(
            f"`depth` is {depth}; wanted 2 * n * {stages} + 2 for {stages} stages of "
            f"n blocks of two layers, such as {nearest[0]} or {nearest[1]}."
        )
    return blocks
