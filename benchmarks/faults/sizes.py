"""Faults of initialisers, gains, depth and normalisation."""

import jax.numpy as jnp
from flax import nnx

from benchmarks.faults.case import IMAGES, POINTS, SERIES, classify, fault
from benchmarks.faults.nets import (
    HE,
    LECUN,
    Attention,
    ConvBlock,
    Mlp,
    TransformerBlock,
    gain,
)


points = (classify, POINTS)


@fault("vanishing", "body", "initialiser", *points)
def weights_of_0_01(rngs):
    return Mlp(rngs, 10, init=nnx.initializers.normal(0.01))


@fault("exploding", "body", "gain|initialiser", *points)
def gain_four_times_too_large(rngs):
    return Mlp(rngs, 12, init=gain(6.0))


@fault("vanishing", "body", "relu|shortcut|normalis", *points)
def deep_sigmoid(rngs):
    return Mlp(rngs, 10, nnx.sigmoid, LECUN)


@fault("exploding saturated", "body", "gain", *points)
def chaotic_tanh(rngs):
    return Mlp(rngs, 20, jnp.tanh, gain(4.0))


@fault("vanishing", r"body/[45]\b", "initialiser|gain", *points)
def one_layer_of_tiny_weights(rngs):
    return Mlp(rngs, 9, inits={4: gain(1e-4)})


class A_scale_left_in_the_code(Mlp):
    def __init__(self, rngs):
        super().__init__(rngs, 9)

    def features(self, x):
        for number, layer in enumerate(self.body):
            x = nnx.relu(layer(x)) * (1e-5 if number == 5 else 1.0)
        return x


fault("vanishing", r"body/[56]\b", "", *points)(
    type("scale_left_in_the_code", (A_scale_left_in_the_code,), {})
)


@fault("rank-collapse", "body|head", "random|initialiser", *points)
def constant_weights(rngs):
    constant = nnx.initializers.constant(0.1)
    return Mlp(rngs, 3, init=constant, head=constant)


@fault("vanishing", "body", "shortcut|initialiser", *points)
def forty_layers_without_shortcuts(rngs):
    return Mlp(rngs, 40, init=LECUN)


class plain_batch_norm_of_fifty_layers(nnx.Module):
    def __init__(self, rngs):
        self.inlet = nnx.Linear(16, 32, rngs=rngs)
        self.norms = nnx.List([nnx.BatchNorm(32, rngs=rngs) for _ in range(50)])
        self.body = nnx.List(
            [nnx.Linear(32, 32, kernel_init=HE, rngs=rngs) for _ in range(50)]
        )
        self.head = nnx.Linear(32, 8, rngs=rngs)

    def __call__(self, x):
        x = self.inlet(x)
        for norm, layer in zip(self.norms, self.body, strict=True):
            x = nnx.relu(norm(layer(x)))
        return self.head(x)


fault("exploding", "body|norms", "shortcut", *points)(plain_batch_norm_of_fifty_layers)


class hyper_connections_that_amplify(nnx.Module):
    """Four streams, mixed between the layers by matrices of a gain above one."""

    def __init__(self, rngs):
        self.inlet = nnx.Linear(16, 24, rngs=rngs)
        self.mixing = nnx.List(
            [nnx.Param(jnp.eye(4) + 0.4 * jnp.ones((4, 4))) for _ in range(14)]
        )
        self.body = nnx.List([nnx.Linear(24, 24, rngs=rngs) for _ in range(14)])
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        streams = jnp.stack([self.inlet(x)] * 4, axis=1)
        for mixing, layer in zip(self.mixing, self.body, strict=True):
            streams = jnp.einsum("ij,bjd->bid", mixing[...], streams)
            streams = streams.at[:, 0].add(nnx.gelu(layer(streams.mean(1))))
        return self.head(streams.mean(1))


fault("exploding", "", "gain|scale", *points)(hyper_connections_that_amplify)


class residual_branches_that_add_up(nnx.Module):
    def __init__(self, rngs):
        self.inlet = nnx.Linear(16, 32, rngs=rngs)
        self.body = nnx.List([Mlp(rngs, 1, inputs=32, outputs=32) for _ in range(16)])
        self.head = nnx.Linear(32, 8, rngs=rngs)

    def __call__(self, x):
        x = self.inlet(x)
        for branch in self.body:
            x = x + 3.0 * branch(x)
        return self.head(x)


fault("exploding", "body|head", "scale|gain|norm", *points)(
    residual_branches_that_add_up
)


@fault("saturated", r"body/2\b", "gain", *points)
def tanh_gain_of_20_in_one_layer(rngs):
    return Mlp(rngs, 5, jnp.tanh, LECUN, inits={2: gain(20.0)})


@fault("saturated vanishing", "body", "gain", *points)
def steep_sigmoid(rngs):
    return Mlp(rngs, 3, lambda x: nnx.sigmoid(25.0 * x), LECUN)


class inputs_that_are_not_scaled(Mlp):
    def __init__(self, rngs):
        super().__init__(rngs, 4, jnp.tanh, LECUN)

    def __call__(self, x):
        return super().__call__(300.0 * x)


fault("saturated", r"body/0\b", "scal|standardis|normalis", *points)(
    inputs_that_are_not_scaled
)


class Blocks(nnx.Module):
    """Two blocks of a Transformer, whose attention has options."""

    def __init__(self, rngs, **options):
        self.inlet = nnx.Linear(6, 32, rngs=rngs)
        self.blocks = nnx.List(
            [TransformerBlock(32, rngs, **options) for _ in range(2)]
        )
        self.head = nnx.Linear(32, 8, rngs=rngs)

    def __call__(self, x):
        x = self.inlet(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


@fault("saturated vanishing", "blocks|attention", "scale|sqrt|gain", classify, SERIES)
def attention_logits_that_are_not_scaled(rngs):
    return Blocks(rngs, temperature=60.0)


@fault("saturated", "attention/softmax$", "^normalise queries", classify, SERIES)
def queries_and_keys_of_a_large_gain(rngs):
    return Blocks(rngs, init=gain(8.0))


class attention_without_shortcuts(nnx.Module):
    def __init__(self, rngs):
        self.inlet = nnx.Linear(6, 32, rngs=rngs)
        self.layers = nnx.List([Attention(32, rngs) for _ in range(10)])
        self.head = nnx.Linear(32, 8, rngs=rngs)

    def __call__(self, x):
        x = self.inlet(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean(1))


fault("rank-collapse vanishing", "layers", "shortcut", classify, SERIES)(
    attention_without_shortcuts
)


@fault("rank-collapse vanishing", "body", "bias|gain|shortcut", *points)
def biases_that_drown_the_input(rngs):
    bias = nnx.initializers.normal(2.0)
    return Mlp(rngs, 10, jnp.tanh, gain(0.5), biases=dict.fromkeys(range(10), bias))


class convolutions_of_tiny_weights(nnx.Module):
    def __init__(self, rngs):
        tiny = nnx.initializers.normal(1e-3)
        self.stages = nnx.List(
            [
                nnx.Conv(12 if n else 3, 12, (3, 3), kernel_init=tiny, rngs=rngs)
                for n in range(7)
            ]
        )
        self.head = nnx.Linear(12, 8, rngs=rngs)

    def __call__(self, x):
        for stage in self.stages:
            x = nnx.relu(stage(x))
        return self.head(x.mean((1, 2)))


fault("vanishing", "stages", "initialiser|normalis", classify, IMAGES)(
    convolutions_of_tiny_weights
)


class convolutions_without_shortcuts(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.blocks = nnx.List([ConvBlock(8, rngs, False) for _ in range(24)])
        self.head = nnx.Linear(8, 8, rngs=rngs)

    def __call__(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))


fault("exploding", "blocks", "shortcut", classify, IMAGES)(
    convolutions_without_shortcuts
)
