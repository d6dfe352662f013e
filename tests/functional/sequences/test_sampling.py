"""Sampling against the probabilities of what is kept, and its edges."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional import sample_logits
from tests.oracles import sequences as oracle


# Two pairs of equal logits, so that the order of equal ones matters.
LOGITS = np.array([0.3, 1.2, -0.5, 1.2, 0.3, -2.0, 0.9], np.float32)
DRAWS = 20000


@functools.partial(jax.jit, static_argnames="top_k")
def shares(temperature, top_p, top_k=None):
    rows = jnp.broadcast_to(LOGITS, (DRAWS, len(LOGITS)))
    drawn = sample_logits(
        rows, key=jax.random.key(3), temperature=temperature, top_k=top_k, top_p=top_p
    )
    return jnp.bincount(drawn, length=len(LOGITS)) / DRAWS


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [
        (1.0, None, None),
        (0.5, None, None),
        (2.0, 3, None),
        (1.0, 1, None),
        (1.0, 99, None),
        (1.0, None, 0.6),
        (1.0, None, 1e-6),
        (1.0, None, 1.0),
        (0.7, 5, 0.8),
    ],
)
def test_the_shares_are_the_probabilities_of_what_is_kept(temperature, top_k, top_p):
    expected = oracle.kept(LOGITS / temperature, top_k, 2.0 if top_p is None else top_p)
    found = np.asarray(shares(temperature, top_p, top_k))
    # Five standard deviations of a share; nothing that is not kept is ever drawn.
    assert (np.abs(found - expected) <= 5 * np.sqrt(expected / DRAWS)).all()
    assert (found[expected == 0] == 0).all()


def test_temperature_zero_takes_the_first_of_the_likeliest():
    assert int(sample_logits(LOGITS, temperature=0)) == 1
    assert int(sample_logits(LOGITS, temperature=0.0, top_k=3, top_p=0.5)) == 1
    np.testing.assert_array_equal(shares(jnp.float32(0), None), np.eye(7)[1])


def test_each_row_draws_on_its_own_and_from_its_key_only():
    rows, key = jnp.zeros((4, 50, 9)), jax.random.key(1)
    drawn = sample_logits(rows, key=key)
    assert drawn.shape == (4, 50) and drawn.dtype == jnp.int32
    assert not np.array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn, sample_logits(rows, key=key))
    keys = jax.random.split(key, 3)
    draw = lambda key, top_p: sample_logits(rows[0], key=key, top_p=top_p, top_k=5)
    mapped = jax.jit(jax.vmap(draw))(keys, jnp.array([0.2, 0.5, 0.9]))
    for row, p in enumerate((0.2, 0.5, 0.9)):
        np.testing.assert_array_equal(mapped[row], draw(keys[row], p))


def test_excluded_classes_and_tiny_temperatures():
    logits = jnp.array([-jnp.inf, 0.0, -jnp.inf, -1e30])
    for options in ({}, {"top_k": 3}, {"top_p": 1.0}, {"temperature": 1e-30}):
        draw = functools.partial(sample_logits, logits, **options)
        drawn = jax.vmap(lambda key, draw=draw: draw(key=key))(
            jax.random.split(jax.random.key(0), 50)
        )
        assert set(np.asarray(drawn)) == {1}
    half = sample_logits(logits.astype(jnp.bfloat16), key=jax.random.key(0), top_p=0.5)
    assert int(half) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, TypeError, "`key` is of type NoneType; wanted one JAX random key"),
        ({"temperature": -1.0}, ValueError, "`temperature` is -1.0; wanted a finite"),
        ({"temperature": np.inf}, ValueError, "`temperature` is inf"),
        ({"temperature": "hot"}, TypeError, "`temperature` is 'hot'; wanted"),
        ({"top_k": 0}, ValueError, "`top_k` is 0; wanted 1 or more"),
        ({"top_k": 2.0}, TypeError, "`top_k` is 2.0; wanted an int"),
        ({"top_p": 0.0}, ValueError, "`top_p` is 0.0; wanted a probability above 0"),
        ({"top_p": 1.5}, ValueError, "`top_p` is 1.5; wanted a probability"),
        ({"logits": LOGITS[:0]}, ValueError, r"`logits` has shape \(0,\)"),
        ({"logits": np.arange(3)}, TypeError, "`logits` has dtype int"),
    ],
)
@pytest.mark.usefixtures("unchecked_annotations")
def test_errors_name_the_argument(options, error, message):
    with pytest.raises(error, match=message):
        sample_logits(**{"logits": LOGITS, **options})
