"""The normalisations that `test_transforms` combines with every transformation."""

import numpy as np

from jaxnets.functional.normalization import batch_norm
from tests.cases import Case


def random(*shape):
    return np.random.default_rng(11).normal(size=shape).astype(np.float32)


# A large epsilon keeps derivatives small. Only y has the dtype of the arguments.
def normalised(*arrays):
    return batch_norm(*arrays, epsilon=0.1)[0]


CASES = [
    Case(
        "batch-norm",
        normalised,
        (random(3, 2, 3, 2), random(4)[:2], random(5)[:2]),
        batched={},
    ),
    Case(
        "batch-norm-given-statistics",
        lambda x, scale, bias, mean: batch_norm(
            x, scale, bias, mean, mean**2 + 1.0, epsilon=0.1
        )[0],
        (random(3, 5, 2), random(4)[:2], random(5)[:2], random(6)[:2]),
    ),
]
