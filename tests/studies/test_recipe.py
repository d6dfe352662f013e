"""Images are mirrored and shifted, and the rate of He et al.'s recipe falls."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import training
from jaxnets.data import Labelled
from jaxnets.studies.depth.recipe import flipped_and_shifted, make_optimizer


def test_each_image_is_a_crop_of_itself_or_its_mirror_image(rng):
    images = rng.normal(size=(12, 5, 4, 2)).astype(np.float32)
    data = Labelled(jnp.asarray(images), jnp.arange(12))
    draw = flipped_and_shifted(training.shuffled(data, 4), 2)
    x, y = draw(jax.random.key(1))
    assert x.shape == (3, 4, 5, 4, 2)
    kinds = set()
    for found, label in zip(np.asarray(x).reshape(12, 5, 4, 2), y.ravel(), strict=True):
        matches = [
            (mirrored, row, column)
            for mirrored in (False, True)
            for row in range(5)
            for column in range(5)
            if np.array_equal(
                found,
                np.pad(
                    images[label][:, ::-1] if mirrored else images[label],
                    ((2, 2), (2, 2), (0, 0)),
                )[row : row + 5, column : column + 4],
            )
        ]
        assert len(matches) == 1
        kinds.add(matches[0])
    assert {mirrored for mirrored, *_ in kinds} == {False, True}
    assert len(kinds) > 6


def test_the_rate_falls_twice_and_weights_decay():
    optimizer = make_optimizer("sgd", 1.0, updates=8, falling=True, weight_decay=1e-4)
    weights = jnp.ones(1)
    state = optimizer.init(weights)
    velocity = 0.0
    for update in range(8):
        change, state = optimizer.update(jnp.zeros(1), state, weights)
        velocity = 0.9 * velocity + 1e-4
        rate = 1.0 if update < 4 else 0.1 if update < 6 else 0.01
        np.testing.assert_allclose(np.asarray(change), -rate * velocity, rtol=1e-4)
