"""Schedules: the chosen steps, counted by hand, under jit and vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.gradflow import every, log_spaced


def chosen(schedule, steps):
    return np.flatnonzero(jax.jit(jax.vmap(schedule))(jnp.arange(steps))).tolist()


def test_every():
    assert chosen(every(3), 8) == [0, 3, 6]
    assert chosen(every(1), 3) == [0, 1, 2]


def test_log_spaced_has_as_many_steps_in_each_decade():
    exact = [10 ** (j / 4) for j in range(17)]
    expected = sorted({0, *(int(number + 0.5) for number in exact)})
    found = chosen(log_spaced(4), 10_001)
    assert found == expected
    assert [sum(low <= s < 10 * low for s in found) for low in (10, 100, 1000)] == [
        4
    ] * 3


def test_log_spaced_reaches_the_last_step_numbers():
    schedule = jax.jit(log_spaced(1))
    assert schedule(jnp.int32(10**9)) and not schedule(jnp.int32(10**9 + 1))
    assert not schedule(jnp.int32(2**31 - 1))


@pytest.mark.parametrize("make", [every, log_spaced])
def test_a_count_below_one_is_an_error(make):
    with pytest.raises(ValueError, match=r"is 0; wanted 1 or more"):
        make(0)
