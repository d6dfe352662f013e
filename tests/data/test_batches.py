import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.data import epoch_batches


@settings(max_examples=5, deadline=None, derandomize=True)
@given(st.integers(1, 40), st.data())
def test_every_index_occurs_at_most_once_and_all_batches_are_full(count, data):
    batch_size = data.draw(st.integers(1, count))
    rows = np.asarray(epoch_batches(jax.random.key(count), count, batch_size))
    assert rows.shape == (count // batch_size, batch_size)
    assert rows.dtype == np.int32
    indices = rows.ravel().tolist()
    assert len(set(indices)) == len(indices)
    assert set(indices) <= set(range(count))


def test_an_epoch_is_a_pure_function_of_its_key():
    batches = functools.partial(epoch_batches, count=50, batch_size=7)
    rows = batches(jax.random.key(0))
    np.testing.assert_array_equal(rows, jax.jit(batches)(jax.random.key(0)))
    assert not np.array_equal(rows, batches(jax.random.key(1)))
    left_out = [
        set(range(50)) - set(np.ravel(batches(jax.random.key(seed))).tolist())
        for seed in range(3)
    ]
    assert len({frozenset(indices) for indices in left_out}) == 3


def test_indices_stay_int32_under_x64():
    with jax.enable_x64(True):
        assert epoch_batches(jax.random.key(0), 9, 2).dtype == np.int32


@pytest.mark.parametrize(
    ("count", "batch_size", "message"),
    [
        (0, 1, "`count` is 0; wanted 1 or more"),
        (5, 0, "`batch_size` is 0; wanted 1 or more"),
        (5, 6, "`batch_size` is 6, but there are only `count` = 5 examples"),
    ],
)
def test_sizes_out_of_range_are_refused(count, batch_size, message):
    with pytest.raises(ValueError, match=message):
        epoch_batches(jax.random.key(0), count, batch_size)
