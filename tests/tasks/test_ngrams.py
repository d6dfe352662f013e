"""The n-gram floor against its definition, with dictionaries."""

import collections

import numpy as np
import pytest

from jaxnets.tasks.ngrams import next_character_chances


def by_definition(training, row, classes, order):
    after = collections.defaultdict(collections.Counter)
    text = tuple(int(c) for c in training)
    for k in range(order):
        for i in range(k, len(text)):
            after[text[i - k : i]][text[i]] += 1
    chances = []
    for i, c in enumerate(row):
        p = 1 / classes
        for k in range(min(order, i + 1)):
            seen = after.get(tuple(int(c) for c in row[i - k : i]))
            if seen:
                p = (seen[int(c)] + len(seen) * p) / (sum(seen.values()) + len(seen))
        chances.append(p)
    return chances


@pytest.mark.parametrize("order", [1, 3, 5])
def test_it_is_the_definition(order, rng):
    # Some characters and many contexts of the rows do not occur in the training text.
    training, rows = rng.integers(0, 5, 200), rng.integers(0, 6, (4, 12))
    found = next_character_chances(training, rows, 6, order)
    expected = [by_definition(training, row, 6, order) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_context_that_only_ends_the_training_text_is_as_if_it_had_not_occurred():
    training, rows = np.array([0, 0, 1, 0, 2]), np.array([[0, 2, 1], [0, 2, 0]])
    for order in (2, 3, 4):
        found = next_character_chances(training, rows, 3, order)
        expected = [by_definition(training, row, 3, order) for row in rows]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_chances_of_all_characters_add_up_to_one(rng):
    training, context = rng.integers(0, 3, 100), rng.integers(0, 4, 6)
    rows = np.stack([[*context, c] for c in range(4)])
    chances = next_character_chances(training, rows, 4, 4)
    np.testing.assert_allclose(chances[:, -1].sum(), 1, rtol=1e-12)


def test_a_text_shorter_than_the_order():
    chances = next_character_chances(np.array([1]), np.array([[1, 1, 1]]), 2, 5)
    np.testing.assert_allclose(chances, 0.75)
