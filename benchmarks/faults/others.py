"""Healthy networks of other kinds: recurrent, generative, several networks in one."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks.faults.case import (
    LENGTHS,
    PADDED,
    POINTS,
    SERIES,
    classify,
    healthy,
    reconstruct,
)
from benchmarks.faults.nets import LECUN, Mlp, Recurrent, Unrolled, outputs, stop
from jaxnets import nn


points = (classify, POINTS)


@healthy(classify, SERIES)
def lstm_classifier(rngs):
    return Recurrent(nnx.OptimizedLSTMCell(6, 24, rngs=rngs), 24, rngs)


@healthy(classify, SERIES)
def gru_classifier(rngs):
    return Recurrent(nnx.GRUCell(6, 24, rngs=rngs), 24, rngs)


@healthy(classify, SERIES)
def rnn_unrolled_in_python(rngs):
    return Unrolled(rngs, nnx.initializers.orthogonal())


class the_mean_of_all_states(nnx.Module):
    def __init__(self, rngs):
        self.rnn = nnx.RNN(nnx.GRUCell(6, 24, rngs=rngs))
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        return self.head(outputs(self.rnn, x).mean(1))


healthy(classify, SERIES)(the_mean_of_all_states)


class states_at_the_end_of_each_sequence(nnx.Module):
    def __init__(self, rngs):
        self.rnn = nnx.RNN(nnx.LSTMCell(6, 24, rngs=rngs))
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x, lengths):
        states = outputs(self.rnn, x, seq_lengths=lengths)
        return self.head(states[jnp.arange(x.shape[0]), lengths - 1])


def _with_lengths(model, x, labels, lengths):
    return classify(lambda x: model(x, lengths), x, labels)


healthy(_with_lengths, (*PADDED, LENGTHS))(states_at_the_end_of_each_sequence)


class episodes_that_reset_the_state(nnx.Module):
    def __init__(self, rngs):
        self.lstm = nn.LSTM(6, 24, rngs=rngs)
        self.head = nnx.Linear(24, 2, rngs=rngs)

    def __call__(self, x, resets):
        return self.head(self.lstm(x, resets=resets)[1])


def _values(model, x, resets):
    return jnp.mean((model(x, resets)[..., 0] - x[..., 0]) ** 2)


RESETS = jnp.arange(20) % 7 == jnp.arange(24)[:, None] % 7
healthy(_values, (SERIES[0], RESETS))(episodes_that_reset_the_state)


class autoencoder(nnx.Module):
    def __init__(self, rngs):
        self.encoder = Mlp(rngs, 2, outputs=4)
        self.decoder = Mlp(rngs, 2, inputs=4, outputs=16)

    def __call__(self, x):
        return self.decoder(self.encoder(x))


healthy(reconstruct, POINTS[:1])(autoencoder)


class variational_autoencoder(nnx.Module):
    def __init__(self, rngs):
        self.encoder = Mlp(rngs, 1, nnx.tanh, LECUN, outputs=8)
        self.decoder = Mlp(rngs, 1, nnx.tanh, LECUN, inputs=4, outputs=16)
        self.rngs = rngs

    def __call__(self, x):
        mean, log_scale = jnp.split(self.encoder(x), 2, -1)
        noise = jax.random.normal(self.rngs.noise(), mean.shape)
        return self.decoder(mean + jnp.exp(log_scale) * noise), mean, log_scale


def _evidence(model, x):
    y, mean, log_scale = model(x)
    divergence = jnp.exp(2 * log_scale) + mean**2 - 1 - 2 * log_scale
    return jnp.mean((y - x) ** 2) + 0.05 * jnp.mean(divergence)


healthy(_evidence, POINTS[:1])(variational_autoencoder)


class straight_through_codes(nnx.Module):
    """A vector-quantised autoencoder."""

    def __init__(self, rngs):
        self.encoder = Mlp(rngs, 1, outputs=8)
        self.codes = nnx.Param(jax.random.normal(rngs.params(), (12, 8)))
        self.decoder = Mlp(rngs, 1, inputs=8, outputs=16)

    def __call__(self, x):
        z = self.encoder(x)
        codes = self.codes[...]
        apart = jnp.sum((z[:, None] - codes) ** 2, -1)
        chosen = codes[jnp.argmin(apart, -1)]
        keep = jnp.mean((stop(z) - chosen) ** 2) + jnp.mean((z - stop(chosen)) ** 2)
        return self.decoder(z + stop(chosen - z)), keep


def _quantised(model, x):
    y, keep = model(x)
    return jnp.mean((y - x) ** 2) + keep


healthy(_quantised, POINTS[:1])(straight_through_codes)


class siamese(nnx.Module):
    def __init__(self, rngs):
        self.encoder = Mlp(rngs, 2, outputs=8)

    def __call__(self, x, y):
        return jnp.sum((self.encoder(x) - self.encoder(y)) ** 2, -1)


def _pairs(model, x, labels):
    same = labels == jnp.roll(labels, 1)
    apart = model(x, jnp.roll(x, 1, 0))
    return jnp.mean(jnp.where(same, apart, nnx.relu(4.0 - apart)))


healthy(_pairs, (POINTS[0], POINTS[1] // 4))(siamese)


class mixture_of_experts(nnx.Module):
    def __init__(self, rngs):
        self.router = nnx.Linear(16, 4, rngs=rngs)
        self.experts = nnx.List([Mlp(rngs, 1) for _ in range(4)])

    def __call__(self, x):
        shares = nnx.softmax(self.router(x))
        outputs = jnp.stack([expert(x) for expert in self.experts], 1)
        return jnp.einsum("be,bed->bd", shares, outputs)


healthy(*points)(mixture_of_experts)


class one_hot_words(nnx.Module):
    """Its first module returns one-hot vectors."""

    def __init__(self, rngs):
        self.one_hot = OneHot()
        self.body = nnx.List([nnx.Linear(30, 32, rngs=rngs)])
        self.head = nnx.Linear(32, 30, rngs=rngs)

    def __call__(self, tokens):
        return self.head(nnx.relu(self.body[0](self.one_hot(tokens))))


class OneHot(nnx.Module):
    def __call__(self, tokens):
        return jax.nn.one_hot(tokens, 30)


def _copy(model, tokens):
    losses = optax.softmax_cross_entropy_with_integer_labels(model(tokens), tokens)
    return jnp.mean(losses)


TOKENS = jax.random.randint(jax.random.key(5), (24, 12), 0, 30)
healthy(_copy, (TOKENS,))(one_hot_words)


class two_encoders_and_a_temperature(nnx.Module):
    """Contrastive learning of pairs."""

    def __init__(self, rngs):
        self.left = Mlp(rngs, 2, nnx.gelu, LECUN, outputs=16)
        self.right = Mlp(rngs, 2, nnx.gelu, LECUN, outputs=16)
        self.scale = nnx.Param(jnp.array(2.0))

    def __call__(self, x):
        unit = lambda v: v / jnp.linalg.norm(v, axis=-1, keepdims=True)
        left, right = unit(self.left(x)), unit(self.right(x[:, ::-1]))
        return jnp.exp(self.scale[...]) * left @ right.T


def _contrast(model, x):
    logits = model(x)
    diagonal = jnp.arange(x.shape[0])
    return classify(lambda x: x, logits, diagonal) / 2 + jnp.mean(
        optax.softmax_cross_entropy_with_integer_labels(logits.T, diagonal) / 2
    )


healthy(_contrast, POINTS[:1])(two_encoders_and_a_temperature)


class a_network_that_makes_weights(nnx.Module):
    """A hypernetwork."""

    def __init__(self, rngs):
        self.weights = Mlp(rngs, 1, nnx.tanh, LECUN, inputs=4, outputs=16 * 8)
        self.bias = nnx.Param(jnp.zeros(8))

    def __call__(self, x):
        weights = self.weights(x[:, :4]).reshape(-1, 16, 8) / 4
        return jnp.einsum("bi,bio->bo", x, weights) + self.bias[...]


healthy(*points)(a_network_that_makes_weights)


class a_set_network(nnx.Module):
    def __init__(self, rngs):
        self.each = Mlp(rngs, 2, inputs=6, outputs=24)
        self.all = Mlp(rngs, 1, inputs=24)

    def __call__(self, x):
        return self.all(self.each(x).max(1))


healthy(classify, SERIES)(a_set_network)


def _yes_or_no(model, x, labels):
    shares = nnx.sigmoid(model(x)[:, 0])
    truth = (labels < 4).astype(jnp.float32)
    return -jnp.mean(
        truth * jnp.log(shares + 1e-7) + (1 - truth) * jnp.log(1 - shares + 1e-7)
    )


@healthy(_yes_or_no, POINTS)
def a_sigmoid_at_the_output(rngs):
    return Mlp(rngs, 2, outputs=1)
