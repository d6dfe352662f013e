import functools
import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.data import adding_problem, copy_memory


# One compiled program for each shape, not one for each primitive.
adding = jax.jit(adding_problem, static_argnums=(1, 2))
copying = jax.jit(
    copy_memory, static_argnums=(1, 2), static_argnames=("symbols", "payload")
)
few = settings(max_examples=5, deadline=None, derandomize=True)


@few
@given(st.integers(1, 9), st.integers(2, 12), st.integers(0, 99))
def test_adding_marks_one_step_in_each_half_and_sums_the_values(count, length, seed):
    x, y = (np.asarray(a) for a in adding(jax.random.key(seed), count, length))
    assert (x.shape, y.shape) == ((count, length, 2), (count, 1))
    assert (x.dtype, y.dtype) == (np.float32, np.float32)
    for sequence, target in zip(x, y, strict=True):
        marked = [t for t in range(length) if sequence[t, 1] == 1]
        assert len(marked) == 2 and sequence[:, 1].sum() == 2
        assert marked[0] < length // 2 <= marked[1]
        total = sum(np.float64(sequence[t, 0]) for t in marked)
        np.testing.assert_allclose(target, [total], rtol=1e-6)


def test_adding_values_and_markers_are_uniform():
    x, y = (np.asarray(a) for a in adding(jax.random.key(1), 20_000, 5))
    value, marker = x[..., 0], x[..., 1]
    assert value.min() >= 0 and value.max() < 1
    np.testing.assert_allclose(np.mean(value), 0.5, atol=0.005)
    np.testing.assert_allclose(np.var(value), 1 / 12, atol=0.002)
    # The halves have 2 and 3 steps.
    wanted = [1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3]
    np.testing.assert_allclose(marker.mean(axis=0), wanted, atol=0.02)
    # The baseline that the docstring states.
    np.testing.assert_allclose(np.mean((y - 1) ** 2), 1 / 6, atol=0.005)


@few
@given(st.integers(1, 5), st.integers(1, 9), st.integers(2, 9), st.integers(1, 6))
def test_copy_has_the_payload_the_delimiter_and_the_answer(
    count, lag, symbols, payload
):
    task = copying(jax.random.key(lag), count, lag, symbols=symbols, payload=payload)
    x, y = (np.asarray(a) for a in task)
    assert x.shape == y.shape == (count, lag + 2 * payload)
    assert x.dtype == y.dtype == np.int32
    blank, delimiter = symbols, symbols + 1
    for row, target in zip(x.tolist(), y.tolist(), strict=True):
        data = row[:payload]
        assert all(0 <= symbol < symbols for symbol in data)
        tail = [blank] * (lag - 1) + [delimiter] + [blank] * payload
        assert row == data + tail
        assert target == [blank] * (lag + payload) + data


def test_copy_payload_is_uniform_and_the_baseline_is_as_stated():
    symbols, payload, lag = 8, 10, 100
    _, y = copying(jax.random.key(2), 2_000, lag)
    answers = np.asarray(y)[:, -payload:]
    share = np.bincount(answers.ravel(), minlength=symbols) / answers.size
    np.testing.assert_allclose(share, 1 / symbols, atol=0.01)
    # The blanks are certain, so they cost nothing; the payload is guessed.
    guess = [0.0] * (lag + payload) + [-math.log(1 / symbols)] * payload
    stated = payload * math.log(symbols) / (lag + 2 * payload)
    np.testing.assert_allclose(np.mean(guess), stated)
    np.testing.assert_allclose(stated, 0.1733, atol=5e-5)


@pytest.mark.parametrize(
    "task",
    [
        functools.partial(adding_problem, count=6, length=7),
        functools.partial(copy_memory, count=6, lag=4, symbols=3, payload=2),
    ],
    ids=["adding", "copy"],
)
def test_a_task_is_a_pure_function_of_its_key(task):
    first, again = task(jax.random.key(5)), jax.jit(task)(jax.random.key(5))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    other = jax.jit(task)(jax.random.key(6))
    assert not np.array_equal(first.x, other.x)
    stacked = jax.jit(jax.vmap(task))(jax.random.split(jax.random.key(7), 3))
    assert stacked.x.shape == (3, *first.x.shape)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda key: adding_problem(key, 0, 9), "`count` is 0; wanted 1 or more"),
        (lambda key: adding_problem(key, 3, 1), "`length` is 1; wanted 2 or more"),
        (lambda key: copy_memory(key, -1, 9), "`count` is -1; wanted 1 or more"),
        (lambda key: copy_memory(key, 3, 0), "`lag` is 0; wanted 1 or more"),
        (
            lambda key: copy_memory(key, 3, 9, symbols=1),
            "`symbols` is 1; wanted 2 or more",
        ),
        (
            lambda key: copy_memory(key, 3, 9, payload=0),
            "`payload` is 0; wanted 1 or more",
        ),
    ],
)
def test_sizes_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jax.random.key(0))
