"""Generation with a carried state, against a loop over the step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional import generate, sample_logits, sample_mixture


TABLE = np.random.default_rng(0).normal(size=(5, 3, 3)).astype(np.float32)
GREEDY = functools.partial(sample_logits, temperature=0)


def step(count, token):
    """The logits depend on the state, the number of tokens so far, and on the token."""
    return (count + 1) % 5, jnp.asarray(TABLE)[count, token]


def test_it_is_a_loop_over_the_step_that_can_be_continued():
    first, wanted = np.array([2, 0], np.int8), []
    count, tokens = np.zeros(2, np.int64), first
    for _ in range(7):
        tokens = TABLE[count, tokens].argmax(-1)
        count = (count + 1) % 5
        wanted.append(tokens)
    start = jnp.zeros(2, jnp.int32)
    run = jax.jit(generate, static_argnames=("step", "steps", "sample"))
    state, found = run(step, start, first, steps=7, sample=GREEDY)
    assert found.dtype == jnp.int8
    np.testing.assert_array_equal(found, np.stack(wanted, 1))
    np.testing.assert_array_equal(state, count)
    state, begun = run(step, start, first, steps=3, sample=GREEDY)
    _, rest = run(step, state, begun[:, -1], steps=4, sample=GREEDY)
    np.testing.assert_array_equal(np.concatenate([begun, rest], 1), found)


def test_a_longer_sequence_begins_as_a_shorter_one():
    draw = lambda steps, seed: generate(
        step,
        jnp.zeros(50, jnp.int32),
        jnp.zeros(50, jnp.int32),
        steps=steps,
        key=jax.random.key(seed),
    )[1]
    long, short, other = draw(6, 0), draw(4, 0), draw(4, 1)
    np.testing.assert_array_equal(long[:, :4], short)
    assert not np.array_equal(short, other)
    assert draw(0, 0).shape == (50, 0)


def test_points_have_their_features_last():
    def towards(state, point):
        mean = 0.5 * point[..., :2]
        zeros = jnp.zeros((*mean.shape[:-1], 4))
        return state, jnp.concatenate([zeros[..., :1], mean, zeros], axis=-1)

    greedy = functools.partial(sample_mixture, temperature=0)
    _, xs = generate(towards, (), jnp.array([[8.0, 4.0, 0.0]]), steps=3, sample=greedy)
    np.testing.assert_allclose(xs[0, :, :2], [[4, 2], [2, 1], [1, 0.5]])


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"step": 1}, TypeError, "`step` is 1; wanted a function"),
        ({"sample": "max"}, TypeError, "`sample` is 'max'; wanted a function"),
        ({"steps": -1}, ValueError, "`steps` is -1; wanted 0 or more"),
        ({"key": 3}, TypeError, "`key` is of type int; wanted one JAX random key"),
        ({}, TypeError, "`key` is of type NoneType"),
        ({"sample": lambda y, key: y}, ValueError, r"`sample` returns shape \(2, 3\)"),
        ({"state": 0.5 * jnp.ones(2)}, TypeError, "`step` returns a state with"),
    ],
)
@pytest.mark.usefixtures("unchecked_annotations")
def test_errors_name_the_argument(changed, error, message):
    state = jnp.zeros(2, jnp.int32)
    kept = lambda state, token: (state.astype(jnp.int32), jnp.zeros((2, 3)))
    given = {"step": kept, "state": state, "first": state, "steps": 2}
    with pytest.raises(error, match=message):
        generate(**(given | changed))
