"""A decoder of the library's parts: a GRU that attends to memories of two lengths."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import functional as F


UNITS, CLASSES, STEPS, END = 4, 5, 6, 0
LENGTHS = np.array([3, 2])


def test_greedy_generation_is_a_search_with_one_beam(rng):
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    memory, v, out = draw(2, 3, UNITS), draw(UNITS), draw(2 * UNITS, CLASSES)
    params = F.init_gru(jax.random.key(0), CLASSES + UNITS, UNITS)

    def step(h, token):
        context, _ = F.additive_attention(h, memory, memory, v, lengths=LENGTHS)
        x = jnp.concatenate([jax.nn.one_hot(token, CLASSES), context], axis=-1)
        h, y = F.gru_step(params, h, x)
        logits = 3 * jnp.concatenate([y, context], axis=-1) @ out
        logits -= 9 * jax.nn.one_hot(token, CLASSES)  # no token twice in a row
        # Nothing ends, so that the likeliest token is always the one that goes on.
        return h, logits.at[:, END].set(-1e9)

    start = jnp.zeros((2, UNITS)), jnp.array([1, 2])
    greedy = functools.partial(F.sample_logits, temperature=0)

    @jax.jit
    def both():
        _, tokens = F.generate(step, *start, steps=STEPS, sample=greedy)
        return tokens, F.beam_search(step, *start, beams=1, steps=STEPS, end=END)

    tokens, found = both()
    np.testing.assert_array_equal(found.tokens[:, 0], tokens)
    assert len(set(np.asarray(tokens).ravel())) > 1
