"""Many-to-one and many-to-many networks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnets import models, nn
from jaxnets.models.sequence import Layer


LAYERS = [nn.RNN, nn.GRU, nn.LSTM]
HELLO = np.array([[0, 1, 2, 2, 3]])  # h, e, l, l, o


def character_model(layer: Layer = nn.GRU, **options):
    return models.CharacterModel(layer, 5, 4, **options, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("layer", LAYERS)
def test_many_to_one_with_lengths_agrees_with_shortened_sequences(layer, rng):
    model = models.ManyToOne(layer, 3, 4, 2, rngs=nnx.Rngs(0))
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    lengths = np.array([5, 3])
    # One program for all three, because compilation takes most of the time.
    call = jax.jit(lambda x, n: (model(x, n), model(x[:1]), model(x[1:, :3])))
    together, first, second = call(x, lengths)
    np.testing.assert_allclose(
        together, np.concatenate([first, second]), rtol=1e-5, atol=1e-6
    )


def test_many_to_one_reads_the_last_state(rng):
    model = models.ManyToOne(nn.LSTM, 3, 4, 2, rngs=nnx.Rngs(0))
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    _, ys = model.recurrent(x)
    np.testing.assert_allclose(model(x), model.output(ys[:, -1]), rtol=1e-5)


def test_a_projected_layer_is_read_out():
    many = models.ManyToOne(nn.LSTM, 3, 4, 2, projection=2, rngs=nnx.Rngs(0))
    assert jax.eval_shape(lambda: many(jnp.ones((2, 5, 3)))).shape == (2, 2)
    model = character_model(nn.LSTM, projection=2)
    assert jax.eval_shape(lambda: model(HELLO)).shape == (1, 5, 5)


def test_advance_carries_the_state():
    model = character_model(nn.LSTM)
    logits = model(HELLO)
    state, first = model.advance(None, HELLO[:, :2])
    _, second = model.advance(state, HELLO[:, 2:])
    np.testing.assert_allclose(
        np.concatenate([first, second], axis=1), logits, rtol=1e-5, atol=1e-6
    )


def test_greedy_generation_agrees_with_repeated_calls():
    model = character_model()
    start = np.array([[0, 1], [3, 2], [4, 4]])
    text = start
    call = jax.jit(lambda text: model(text)[:, -1])
    for _ in range(3):
        likeliest = np.argmax(call(text), axis=-1)
        text = np.concatenate([text, likeliest[:, None]], axis=1)
    added = model.generate(start, 3)
    assert added.dtype == jnp.int32
    np.testing.assert_array_equal(added, text[:, 2:])


def test_drawn_generation_is_reproducible_and_follows_the_softmax():
    model = character_model()
    generate = jax.jit(lambda key: model.generate(HELLO[:, :1], 3, key=key))
    keys = jax.random.split(jax.random.key(1), 3)
    np.testing.assert_array_equal(generate(keys[0]), generate(keys[0]))
    assert len({tuple(np.asarray(generate(key))[0]) for key in keys}) > 1

    rows = np.zeros((2000, 1), np.int32)
    drawn = model.generate(rows, 1, key=jax.random.key(0))
    shares = np.bincount(np.asarray(drawn)[:, 0], minlength=5) / 2000
    softmax = jax.nn.softmax(model(rows[:1])[0, -1])
    np.testing.assert_allclose(shares, softmax, atol=0.05)


def test_generation_needs_at_least_one_character():
    with pytest.raises(ValueError, match="`start` has no character; wanted at least"):
        character_model().generate(np.zeros((2, 0), np.int32), 3)


def test_it_learns_hello_from_h():
    model = models.CharacterModel(nn.RNN, 4, 6, rngs=nnx.Rngs(0))
    definition, params = nnx.split(model)
    optimizer = optax.adam(0.05)

    def loss(params):
        logits = nnx.merge(definition, params)(HELLO[:, :-1])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, HELLO[:, 1:])
        return jnp.mean(losses)

    def update(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), value

    start = (params, optimizer.init(params))
    train = jax.jit(lambda start: jax.lax.scan(update, start, length=80))
    (params, _), losses = train(start)
    assert losses[-1] < 0.1 < losses[0]
    nnx.update(model, params)
    np.testing.assert_array_equal(model.generate(HELLO[:, :1], 4), HELLO[:, 1:])


def test_generation_takes_the_options_of_sampling():
    model, start = character_model(nn.LSTM), HELLO[:, :2]
    greedy = model.generate(start, 4)
    key = jax.random.key(0)
    np.testing.assert_array_equal(model.generate(start, 4, key=key, top_k=1), greedy)
    with pytest.raises(ValueError, match="`top_p` is 2; wanted a probability"):
        model.generate(start, 4, key=key, top_p=2)
