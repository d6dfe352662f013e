"""Beam search against all sequences of a tiny vocabulary."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional import beam_search
from tests.oracles import sequences as oracle


CLASSES, STEPS, END = 3, 4, 1
# Logits of the token after the two before it, for each of two sequences. The state is
# the token before the last one, so the search has to keep the states of its beams.
TABLES = np.random.default_rng(4).normal(size=(2, CLASSES, CLASSES, CLASSES))
TABLES = (2.0 * TABLES).astype(np.float32)
FIRST, BEFORE = np.array([0, 2]), 1
# Of every length: more than there are sequences to continue.
EXACT = CLASSES**STEPS


def step(before, token):
    """It closes over the tables, which have the batch axis."""
    rows = jnp.arange(2)
    return token, jnp.asarray(TABLES)[rows, before, token]


@functools.partial(jax.jit, static_argnames=("beams", "length_penalty", "steps"))
def search(beams, length_penalty, steps=STEPS):
    return beam_search(
        step,
        jnp.full(2, BEFORE, jnp.int32),
        FIRST,
        beams=beams,
        steps=steps,
        end=END,
        length_penalty=length_penalty,
    )


def every_sequence(row, penalty, steps=STEPS):
    def log_p(tokens):
        before = tokens[-2] if len(tokens) > 1 else BEFORE
        logits = TABLES[row, before, tokens[-1]].astype(np.float64)
        return logits - np.log(np.exp(logits).sum())

    return oracle.best_sequences(log_p, FIRST[row], steps, END, penalty)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 3.0])
def test_with_enough_beams_it_finds_all_sequences_in_order(penalty):
    found = search(EXACT, penalty)
    for row in range(2):
        expected = every_sequence(row, penalty)
        count = len(expected)
        scores = [score for score, _ in expected]
        np.testing.assert_allclose(found.scores[row, :count], scores, rtol=1e-5)
        assert (found.scores[row, count:] == -np.inf).all()
        for beam, (_, tokens) in enumerate(expected):
            length = int(found.lengths[row, beam])
            assert tuple(found.tokens[row, beam, :length].tolist()) == tokens
            assert (found.tokens[row, beam, length:] == END).all()


def test_the_penalty_prefers_longer_sequences():
    short, long = search(EXACT, 0.0), search(EXACT, 3.0)
    assert long.lengths[:, 0].sum() > short.lengths[:, 0].sum()


def narrow_search(row, beams, penalty):
    """The same search with few beams, in NumPy and without an early end."""
    table = TABLES[row].astype(np.float64)
    log_p = table - np.log(np.exp(table).sum(-1, keepdims=True))
    open_ones, ended = [((), 0.0)], []
    divided = lambda total, length: total / ((5 + length) / 6) ** penalty
    for number in range(1, STEPS + 1):
        longer = []
        for tokens, total in open_ones:
            known = (BEFORE, FIRST[row], *tokens)
            for token in range(CLASSES):
                p = total + log_p[known[-2], known[-1], token]
                one = ((*tokens, token), p)
                if token == END:
                    ended.append((divided(p, number), one[0]))
                else:
                    longer.append(one)
        open_ones = sorted(longer, key=lambda one: -one[1])[:beams]
    ended += [(divided(total, STEPS), tokens) for tokens, total in open_ones]
    return sorted(ended, key=lambda one: -one[0])[:beams]


@pytest.mark.parametrize(("beams", "penalty"), [(1, 0.0), (2, 0.0), (2, 1.0)])
def test_few_beams_are_the_plain_search(beams, penalty):
    found = search(beams, penalty)
    for row in range(2):
        for beam, (score, tokens) in enumerate(narrow_search(row, beams, penalty)):
            length = int(found.lengths[row, beam])
            assert tuple(found.tokens[row, beam, :length].tolist()) == tokens
            np.testing.assert_allclose(found.scores[row, beam], score, rtol=1e-5)


def test_it_stops_where_nothing_can_become_better():
    calls = []

    def certain(state, token):
        jax.debug.callback(lambda: calls.append(1))
        # The end is nearly certain, so the first sequence that ends is the best.
        return state, jnp.where(jnp.arange(3) == END, 9.0, 0.0)

    found = beam_search(certain, (), jnp.array(0), beams=1, steps=1000, end=END)
    jax.effects_barrier()
    assert found.lengths.tolist() == [1] and len(calls) == 1


def test_without_batch_axes_and_under_vmap():
    def one(table, first):
        plain = lambda before, token: (token, table[before, token])
        options = {"beams": 2, "steps": STEPS, "end": END}
        return beam_search(plain, jnp.int32(BEFORE), first, **options)

    mapped = jax.jit(jax.vmap(one))(TABLES, FIRST)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5), mapped, search(2, 0.0)
    )


GIVEN = {"beams": 2, "steps": 3, "end": 1}


def wrong_logits(state, token):
    return state, jnp.zeros(token.shape)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"beams": 0}, ValueError, "`beams` is 0; wanted 1 or more"),
        ({"steps": 0}, ValueError, "`steps` is 0; wanted 1 or more"),
        ({"end": 3}, ValueError, "`end` is 3, and `step` returns logits of 3 tokens"),
        ({"end": -1}, ValueError, "`end` is -1; wanted 0 or more"),
        ({"length_penalty": -1.0}, ValueError, "`length_penalty` is -1.0; wanted"),
        ({"length_penalty": "long"}, TypeError, "`length_penalty` is 'long'; wanted"),
        ({"step": 3}, TypeError, "`step` is 3; wanted a function"),
        ({"step": wrong_logits}, ValueError, r"`step` returns logits of shape \(2,\)"),
        ({"step": lambda s, t: t}, TypeError, "`step` returns a value of type"),
        ({"first": np.ones(2)}, TypeError, "`first` has dtype float"),
        ({"state": jnp.zeros(3)}, ValueError, r"`state` has an array of shape \(3,\)"),
    ],
)
@pytest.mark.usefixtures("unchecked_annotations")
def test_errors_name_the_argument(changed, error, message):
    given = {"step": step, "state": jnp.zeros(2, jnp.int32), "first": FIRST, **GIVEN}
    with pytest.raises(error, match=message):
        beam_search(**(given | changed))
