"""Attention for the tests of JAX's transformations; one memory is empty."""

import numpy as np

from jaxnets.functional import additive_attention, dot_product_attention
from tests.cases import Case


LENGTHS = np.array([4, 0, 3])


def draw(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def dot(query, keys, values, lengths=LENGTHS):
    return dot_product_attention(query, keys, values, lengths=lengths)


def additive(query, keys, values, v, lengths=LENGTHS):
    return additive_attention(query, keys, values, v, lengths=lengths)


CASES = [
    Case(
        "dot-product-attention",
        dot,
        (draw(3, 2, 3), draw(3, 4, 3), draw(3, 4, 2)),
        batched={0: 0, 1: 0, 2: 0},
        examples={"lengths": LENGTHS},
    ),
    Case(
        "additive-attention",
        additive,
        (draw(3, 3), draw(3, 4, 3), draw(3, 4, 2), draw(3)),
        batched={0: 0, 1: 0, 2: 0},
        examples={"lengths": LENGTHS},
    ),
]
