"""How the study of depth trains: the optimiser, and He et al.'s augmentation."""

from typing import Literal

import jax
import jax.numpy as jnp
import optax

from jaxnets.data import Labelled
from jaxnets.training import Batches


def flipped_and_shifted(batches: Batches, pixels: int) -> Batches:
    """Return `batches` with images that are mirrored and shifted at random.

    Each image is mirrored left to right with probability 1/2, padded with zeros by
    `pixels` on all sides, and cropped to its size at a random place. This is computed
    on the device, for all batches of an epoch in one call.

    Args:
        batches: `batches(key)` returns `x (steps, batch, height, width, C)` and `y`.
        pixels: The largest shift, in pixels.

    Returns:
        A function of a key like `batches`.

    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", section
    4.2, with 4 pixels.
    """

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        height, width, channels = image.shape
        size = (height - 2 * pixels, width - 2 * pixels, channels)
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), size)

    @jax.jit
    def draw(key: jax.Array) -> Labelled:
        batch_key, flip_key, shift_key = jax.random.split(key, 3)
        x, y = batches(batch_key)
        images = jnp.asarray(x).reshape(-1, *x.shape[2:])
        mirrored = jax.random.bernoulli(flip_key, 0.5, (len(images), 1, 1, 1))
        images = jnp.where(mirrored, images[:, :, ::-1], images)
        widths = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
        corners = jax.random.randint(shift_key, (len(images), 2), 0, 2 * pixels + 1)
        images = jax.vmap(crop)(jnp.pad(images, widths), corners)
        return Labelled(images.reshape(x.shape), y)

    return draw


def make_optimizer(
    kind: Literal["sgd", "adam"],
    learning_rate: float,
    *,
    updates: int,
    falling: bool,
    weight_decay: float,
) -> optax.GradientTransformation:
    """Return the optimiser of a training.

    Args:
        kind: `sgd` with momentum 0.9, or `adam`.
        learning_rate: Learning rate at the start.
        updates: Number of updates of the training.
        falling: Whether the rate falls tenfold after half and after three quarters of
            the updates, as in He et al. 2015.
        weight_decay: Factor of the weights that SGD adds to their gradient, and Adam to
            the update.
    """
    rate: optax.ScalarOrSchedule = learning_rate
    if falling:
        falls = {updates // 2: 0.1, updates * 3 // 4: 0.1}
        rate = optax.piecewise_constant_schedule(learning_rate, falls)
    if kind == "adam":
        return optax.adamw(rate, weight_decay=weight_decay)
    decay = optax.add_decayed_weights(weight_decay)
    return optax.chain(decay, optax.sgd(rate, momentum=0.9))
