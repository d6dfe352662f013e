"""Healthy networks with residual parts, zero starts, attention and other layouts."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks.faults.case import (
    IMAGES,
    POINTS,
    SERIES,
    TOKENS,
    WORDS,
    classify,
    healthy,
)
from benchmarks.faults.nets import (
    LECUN,
    Attention,
    ConvBlock,
    Mlp,
    TransformerBlock,
    gain,
)


points = (classify, POINTS)
ZERO = nnx.initializers.zeros_init()


@healthy(*points)
def relu_mlp(rngs):
    return Mlp(rngs, 5)


@healthy(*points, optimizer=optax.adam(1e-3), steps=20)
def relu_mlp_with_adam(rngs):
    return Mlp(rngs, 3)


@healthy(*points, optimizer=optax.sgd(0.05), steps=20)
def relu_mlp_with_sgd(rngs):
    return Mlp(rngs, 3)


@healthy(*points)
def gelu_mlp_of_flax_defaults(rngs):
    return Mlp(rngs, 6, nnx.gelu, LECUN)


@healthy(*points)
def tanh_mlp(rngs):
    return Mlp(rngs, 6, jnp.tanh, gain(1.2))


@healthy(*points)
def shallow_sigmoid_mlp(rngs):
    return Mlp(rngs, 2, nnx.sigmoid, LECUN)


@healthy(*points)
def a_head_that_starts_at_zero(rngs):
    return Mlp(rngs, 4, head=ZERO)


class residual_mlp_with_layer_norm_first(nnx.Module):
    def __init__(self, rngs):
        self.inlet = nnx.Linear(16, 32, rngs=rngs)
        self.norms = nnx.List([nnx.LayerNorm(32, rngs=rngs) for _ in range(10)])
        self.body = nnx.List(
            [Mlp(rngs, 1, nnx.gelu, inputs=32, outputs=32) for _ in range(10)]
        )
        self.norm = nnx.LayerNorm(32, rngs=rngs)
        self.head = nnx.Linear(32, 8, rngs=rngs)

    def __call__(self, x):
        x = self.inlet(x)
        for norm, branch in zip(self.norms, self.body, strict=True):
            x = x + branch(norm(x))
        return self.head(self.norm(x))


healthy(*points)(residual_mlp_with_layer_norm_first)


class gates_that_start_at_zero(nnx.Module):
    """ReZero."""

    def __init__(self, rngs):
        self.inlet = nnx.Linear(16, 32, rngs=rngs)
        self.body = nnx.List([Mlp(rngs, 1, inputs=32, outputs=32) for _ in range(6)])
        self.gates = nnx.List([nnx.Param(jnp.zeros(())) for _ in range(6)])
        self.head = nnx.Linear(32, 8, kernel_init=ZERO, rngs=rngs)

    def __call__(self, x):
        x = self.inlet(x)
        for gate, branch in zip(self.gates, self.body, strict=True):
            x = x + gate[...] * branch(x)
        return self.head(x)


healthy(*points)(gates_that_start_at_zero)


class low_rank_adapters(nnx.Module):
    def __init__(self, rngs):
        self.body = nnx.List([nnx.Linear(16, 16, rngs=rngs) for _ in range(3)])
        self.adapters = nnx.List([nnx.LoRA(16, 4, 16, rngs=rngs) for _ in range(3)])
        self.head = nnx.Linear(16, 8, rngs=rngs)

    def __call__(self, x):
        for layer, adapter in zip(self.body, self.adapters, strict=True):
            x = nnx.gelu(layer(x) + adapter(x))
        return self.head(x)


healthy(*points)(low_rank_adapters)


class residual_network(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Conv(3, 12, (3, 3), rngs=rngs)
        self.blocks = nnx.List([ConvBlock(12, rngs) for _ in range(4)])
        self.head = nnx.Linear(12, 8, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))


healthy(classify, IMAGES)(residual_network)


class small_convolutional_network(nnx.Module):
    def __init__(self, rngs):
        self.conv1 = nnx.Conv(3, 16, (3, 3), rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), rngs=rngs)
        self.dense1 = nnx.Linear(32 * 4, 32, rngs=rngs)
        self.dense2 = nnx.Linear(32, 8, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.conv1(x)), (2, 2), strides=(2, 2))
        x = nnx.max_pool(nnx.relu(self.conv2(x)), (2, 2), strides=(2, 2))
        return self.dense2(nnx.relu(self.dense1(x.reshape(x.shape[0], -1))))


healthy(classify, IMAGES)(small_convolutional_network)


class u_net(nnx.Module):
    def __init__(self, rngs):
        conv = lambda n, m: nnx.Conv(n, m, (3, 3), rngs=rngs)
        self.down1, self.down2, self.middle = conv(3, 12), conv(12, 24), conv(24, 24)
        self.up2, self.up1, self.out = conv(48, 12), conv(24, 12), conv(12, 3)

    def __call__(self, x):
        grow = lambda x: jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
        a = nnx.relu(self.down1(x))
        b = nnx.relu(self.down2(nnx.max_pool(a, (2, 2), strides=(2, 2))))
        c = nnx.relu(self.middle(nnx.max_pool(b, (2, 2), strides=(2, 2))))
        b = nnx.relu(self.up2(jnp.concatenate([b, grow(c)], -1)))
        a = nnx.relu(self.up1(jnp.concatenate([a, grow(b)], -1)))
        return self.out(a)


def _denoise(model, x):
    return jnp.mean((model(x + 0.1) - x) ** 2)


healthy(_denoise, IMAGES[:1])(u_net)


class parallel_paths(nnx.Module):
    def __init__(self, rngs):
        self.paths = nnx.List(
            [nnx.Conv(3, 4 * n, (n, n), rngs=rngs) for n in (1, 3, 5)]
        )
        self.weak = nnx.Conv(3, 4, (3, 3), kernel_init=gain(0.05), rngs=rngs)
        self.head = nnx.Linear(40, 8, rngs=rngs)

    def __call__(self, x):
        found = [nnx.relu(path(x)) for path in [*self.paths, self.weak]]
        return self.head(jnp.concatenate(found, -1).mean((1, 2)))


healthy(classify, IMAGES)(parallel_paths)


class one_layer_called_six_times(nnx.Module):
    def __init__(self, rngs):
        self.inlet = nnx.Linear(16, 32, rngs=rngs)
        self.step = nnx.Linear(32, 32, rngs=rngs)
        self.head = nnx.Linear(32, 8, rngs=rngs)

    def __call__(self, x):
        x = self.inlet(x)
        h = x
        for _ in range(6):
            h = 0.5 * h + nnx.tanh(self.step(h) + x)
        return self.head(h)


healthy(*points)(one_layer_called_six_times)


class graph_attention(nnx.Module):
    """One graph of 48 nodes; edges join near neighbours of a ring."""

    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(16, 24, rngs=rngs)])
        self.layers.append(nnx.Linear(24, 24, rngs=rngs))
        self.source = nnx.List([nnx.Linear(24, 1, rngs=rngs) for _ in range(2)])
        self.target = nnx.List([nnx.Linear(24, 1, rngs=rngs) for _ in range(2)])
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        nodes = jnp.arange(x.shape[0])
        near = jnp.abs(nodes[:, None] - nodes) % 46 <= 2
        for layer, source, target in zip(
            self.layers, self.source, self.target, strict=True
        ):
            h = layer(x)
            scores = nnx.leaky_relu(source(h) + target(h).T)
            x = nnx.elu(nnx.softmax(jnp.where(near, scores, -1e9)) @ h)
        return self.head(x)


healthy(*points)(graph_attention)


class transformer(nnx.Module):
    def __init__(self, rngs):
        self.words = nnx.Embed(30, 32, rngs=rngs)
        self.places = nnx.Embed(16, 32, rngs=rngs)
        self.blocks = nnx.List([TransformerBlock(32, rngs) for _ in range(3)])
        self.norm = nnx.LayerNorm(32, rngs=rngs)
        self.head = nnx.Linear(32, 30, rngs=rngs)

    def __call__(self, tokens):
        length = tokens.shape[1]
        x = self.words(tokens) + self.places(jnp.arange(length))
        causal = jnp.tril(jnp.ones((length, length), bool))
        for block in self.blocks:
            x = block(x, causal)
        return self.head(self.norm(x))


def next_word(model, tokens):
    losses = optax.softmax_cross_entropy_with_integer_labels(
        model(tokens[:, :-1]), tokens[:, 1:]
    )
    return jnp.mean(losses)


healthy(next_word, (WORDS,))(transformer)


class rms_norm_after_small_embeddings(nnx.Module):
    def __init__(self, rngs):
        small = nnx.initializers.normal(0.02)
        self.words = nnx.Embed(30, 32, embedding_init=small, rngs=rngs)
        self.norm = nnx.RMSNorm(32, rngs=rngs)
        self.mix = Mlp(rngs, 2, nnx.silu, LECUN, inputs=32, outputs=32)
        self.last = nnx.RMSNorm(32, rngs=rngs)
        self.head = nnx.Linear(32, 30, rngs=rngs)

    def __call__(self, tokens):
        x = self.words(tokens)
        return self.head(self.last(x + self.mix(self.norm(x))))


healthy(next_word, (WORDS,))(rms_norm_after_small_embeddings)


class padding_that_is_masked(nnx.Module):
    def __init__(self, rngs):
        self.words = nnx.Embed(30, 32, rngs=rngs)
        self.block = TransformerBlock(32, rngs)
        self.head = nnx.Linear(32, 8, rngs=rngs)

    def __call__(self, tokens):
        present = tokens != 0
        x = self.block(self.words(tokens), present[:, None, :])
        x = jnp.where(present[..., None], x, 0.0).sum(1)
        return self.head(x / present.sum(1, keepdims=True))


healthy(classify, TOKENS)(padding_that_is_masked)


class attention_over_a_series(nnx.Module):
    def __init__(self, rngs):
        self.inlet = nnx.Linear(6, 32, rngs=rngs)
        self.attention = Attention(32, rngs)
        self.norm = nnx.LayerNorm(32, rngs=rngs)
        self.head = nnx.Linear(32, 8, rngs=rngs)

    def __call__(self, x):
        x = self.inlet(x)
        return self.head(self.norm(x + self.attention(x)).mean(1))


healthy(classify, SERIES)(attention_over_a_series)


class queries_and_keys_that_are_normalised(attention_over_a_series):
    """Their weights are eight times as large as usual, which the norm undoes."""

    def __init__(self, rngs):
        super().__init__(rngs)
        self.attention = Attention(32, rngs, init=gain(8.0), normalised=True)


healthy(classify, SERIES)(queries_and_keys_that_are_normalised)


class dropout_and_batch_norm(nnx.Module):
    def __init__(self, rngs):
        self.inlet = nnx.Linear(16, 64, rngs=rngs)
        self.norm = nnx.BatchNorm(64, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(64, 8, rngs=rngs)

    def __call__(self, x):
        return self.head(self.drop(nnx.relu(self.norm(self.inlet(x)))))


healthy(*points)(dropout_and_batch_norm)


class a_siren(nnx.Module):
    def __init__(self, rngs):
        wide = nnx.initializers.uniform(0.125)
        centred = lambda *args: 2 * wide(*args) - 0.125
        self.body = nnx.List(
            [
                nnx.Linear(32 if n else 2, 32, kernel_init=centred, rngs=rngs)
                for n in range(3)
            ]
        )
        self.head = nnx.Linear(32, 1, rngs=rngs)

    def __call__(self, x):
        for layer in self.body:
            x = jnp.sin(6.0 * layer(x))
        return self.head(x)


def _fit_a_wave(model, x):
    return jnp.mean((model(x)[:, 0] - jnp.sin(5 * x[:, 0]) * x[:, 1]) ** 2)


healthy(_fit_a_wave, (jax.random.uniform(jax.random.key(3), (64, 2)),))(a_siren)
