"""Networks with hyper-connections, and by how much their mixings can amplify."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from jaxnets import nn
from jaxnets.studies.arm import Recorder
from jaxnets.studies.training_run import Trained
from jaxnets.tap import scope, tap
from jaxnets.typing import ArrayLike


Images = Float[ArrayLike, "batch height width channels"]


class HyperNet(nnx.Module):
    """A convolution, hyper-connected blocks, and a linear read-out of their mean.

    It has no normalisation, so each branch starts with the scale 1/sqrt(blocks).

    Args:
        blocks: Number of blocks, each with two convolutions.
        in_features: Channels of the images.
        classes: Number of classes.
        width: Channels of each stream.
        constrained: Whether the mixings are doubly stochastic (mHC).
        rngs: Source of randomness.
    """

    def __init__(
        self,
        blocks: int,
        in_features: int,
        classes: int,
        *,
        width: int,
        constrained: bool,
        rngs: nnx.Rngs,
    ):
        init = nnx.initializers.variance_scaling(1 / blocks, "fan_in", "normal")
        make = lambda rngs: nn.HyperBlock(
            width, constrained=constrained, norm=None, kernel_init=init, rngs=rngs
        )
        self.block_count = blocks
        self.stem = nn.Conv(in_features, width, (3, 3), rngs=rngs)
        self.stack = nn.Stack(make, blocks, rngs=rngs)
        self.output = nnx.Linear(width, classes, rngs=rngs)

    def streams(self, x: Images) -> Float[Array, "batch height width streams features"]:
        """Return n copies of the first features."""
        n, _ = self.stack.blocks.shape
        return tap(self.stem(jnp.asarray(x)), "stem")[..., None, :].repeat(n, axis=-2)

    def __call__(
        self, x: Images, *, skipped: Bool[ArrayLike, " blocks"] | None = None
    ) -> Float[Array, "batch classes"]:
        """Return the logits of images, without the blocks that are `skipped`."""
        streams = self.streams(x)
        with scope("stage1"):
            streams = self.stack(streams, skipped=skipped)
        return self.output(jnp.mean(streams, (1, 2, 3)))

    def contributions(self, x: Images) -> Float[Array, " blocks"]:
        """Return how much each block adds, as `jaxnets.nn.Stack` does."""
        return self.stack.contributions(self.streams(x))


def record_gain(recorder: Recorder, trained: Trained, x: Images, step: int) -> None:
    """Record the composite gain by block, before and after training.

    Args:
        recorder: Writes the records.
        trained: The trained networks.
        x: Images.
        step: Number of updates of the trained networks.
    """

    def gain(state) -> jax.Array:
        graphdef = trained.program.graphdef
        model = nnx.merge(graphdef, state.params, state.rest, copy=True)
        forward, backward = nn.composite_gain(model.stack, model.streams(x))
        return jnp.log10(jnp.stack([forward, backward]))

    every = jax.jit(lambda states: jax.lax.map(gain, states))
    for at, state in ((0, trained.program.initial), (step, trained.state)):
        forward, backward = every(state).swapaxes(0, 1)
        places = [f"block {number}" for number in range(1, forward.shape[-1] + 1)]
        for name, values in (("forward", forward), ("backward", backward)):
            metric = f"log10_{name}_gain"
            recorder.profile(metric, values, step=at, places=places)
