"""The augmentation of images that He et al. 2015 train with."""

import jax
import jax.numpy as jnp

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
