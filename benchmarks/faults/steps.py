"""Faults in time, numbers, derivatives, padding and learning rates."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks.faults.case import (
    LONG,
    PADDED,
    POINTS,
    SERIES,
    TOKENS,
    classify,
    fault,
)
from benchmarks.faults.nets import Mlp, Recurrent, Unrolled, gain, outputs, stop


points = (classify, POINTS)


class ForgetfulCell(nnx.LSTMCell):
    """Its forget gate starts nearly shut."""

    def __init__(self, rngs):
        super().__init__(6, 24, rngs=rngs)
        self.hf.bias = nnx.Param(jnp.full(24, -3.0))


@fault("vanishing", "rnn", "bias", classify, SERIES)
def forget_bias_of_minus_3(rngs):
    return Recurrent(ForgetfulCell(rngs), 24, rngs)


@fault("vanishing", "rnn", "lstm|gru|orthogonal", classify, LONG)
def an_rnn_of_a_small_gain(rngs):
    cell = nnx.SimpleCell(6, 24, recurrent_kernel_init=gain(0.2), rngs=rngs)
    return Recurrent(cell, 24, rngs)


@fault("exploding", "rnn", "clip", classify, LONG)
def an_rnn_that_explodes(rngs):
    options = {"activation_fn": nnx.relu, "recurrent_kernel_init": gain(3.0)}
    return Recurrent(nnx.SimpleCell(6, 24, **options, rngs=rngs), 24, rngs)


@fault("exploding", "wh|wx", "clip|gain", classify, SERIES)
def an_unrolled_rnn_that_explodes(rngs):
    return Unrolled(rngs, gain(4.0), nnx.relu)


class a_state_that_is_detached_at_each_step(Unrolled):
    def __init__(self, rngs):
        super().__init__(rngs, nnx.initializers.orthogonal())

    def __call__(self, x):
        h = jnp.zeros((x.shape[0], 24))
        for t in range(20):
            h = jnp.tanh(self.wx(x[:, t]) + self.wh(stop(h)))
        return self.head(stop(h))


fault("detached", "wx|wh", "stop_gradient", classify, SERIES)(
    a_state_that_is_detached_at_each_step
)


def _log_of_zero(model, x, labels):
    shares = nnx.relu(model(x))
    shares = shares / jnp.sum(shares, -1, keepdims=True)
    return -jnp.mean(jnp.log(shares[jnp.arange(labels.size), labels]))


@fault("non-finite", "log", "logarithm|log_softmax", _log_of_zero, POINTS)
def a_logarithm_of_zero(rngs):
    return Mlp(rngs, 2)


class the_root_of_zero(nnx.Module):
    def __init__(self, rngs):
        self.inlet = nnx.Linear(16, 24, rngs=rngs)
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        h = self.inlet(x)
        apart = jnp.sqrt(jnp.sum((h - h) ** 2, -1, keepdims=True))
        return self.head(nnx.relu(h)) + apart


fault("non-finite", "sqrt|inlet", "root|epsilon|norm", *points)(the_root_of_zero)


class a_softmax_that_overflows(Mlp):
    def __call__(self, x):
        powers = jnp.exp(60.0 * super().__call__(x))
        return jnp.log(powers / powers.sum(-1, keepdims=True))


def _picked(model, x, labels):
    return -jnp.mean(model(x)[jnp.arange(labels.size), labels])


fault("non-finite", "exp|div|head|__call__", "softmax|overflow", _picked, POINTS)(
    a_softmax_that_overflows
)


class a_division_by_a_norm_of_zero(Mlp):
    def __call__(self, x):
        x = x.at[0].set(0.0)
        return super().__call__(x / jnp.linalg.norm(x, axis=-1, keepdims=True))


fault("non-finite", "div|body/0", "division|epsilon", *points)(
    a_division_by_a_norm_of_zero
)


@jax.custom_vjp
def soft_plus(x):
    return jnp.log1p(jnp.exp(-jnp.abs(x))) + jnp.maximum(x, 0)


def _soft_plus_backward(x, cotangent):
    # The derivative is sigmoid(x).
    return (cotangent * nnx.sigmoid(-x),)


soft_plus.defvjp(lambda x: (soft_plus(x), x), _soft_plus_backward)


@jax.custom_jvp
def squared(x):
    return x * x


# The derivative is 2 x.
squared.defjvp(lambda xs, ts: (squared(xs[0]), xs[0] * ts[0]))


@jax.custom_vjp
def unit_length(x):
    return x / jnp.sqrt(jnp.sum(x**2, -1, keepdims=True) + 1e-6)


def _unit_length_backward(x, cotangent):
    # The part along x is not taken away.
    return (cotangent / jnp.sqrt(jnp.sum(x**2, -1, keepdims=True) + 1e-6),)


unit_length.defvjp(lambda x: (unit_length(x), x), _unit_length_backward)


@fault("wrong-backward", "soft_plus", "derivative", *points)
def a_derivative_of_the_wrong_sign(rngs):
    return Mlp(rngs, 3, soft_plus)


@fault("wrong-backward", "squared", "derivative", *points)
def a_derivative_without_its_factor(rngs):
    return Mlp(rngs, 2, squared)


@fault("wrong-backward", "unit_length", "derivative", *points)
def a_derivative_without_one_of_its_terms(rngs):
    return Mlp(rngs, 2, lambda x: nnx.relu(unit_length(x)))


class the_mean_over_padded_steps(nnx.Module):
    def __init__(self, rngs):
        self.inlet = nnx.Linear(6, 24, rngs=rngs)
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.gelu(self.inlet(x)).mean(1))


fault("padding", "", "mask|length", classify, PADDED)(the_mean_over_padded_steps)


class the_last_step_of_padded_words(nnx.Module):
    def __init__(self, rngs):
        self.words = nnx.Embed(30, 16, rngs=rngs)
        self.rnn = nnx.RNN(nnx.GRUCell(16, 24, rngs=rngs))
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, tokens):
        return self.head(outputs(self.rnn, self.words(tokens))[:, -1])


fault("padding", "", "mask|length", classify, TOKENS)(the_last_step_of_padded_words)


@fault("rate-too-high", "", "lower", *points, optimizer=optax.sgd(30.0), steps=20)
def sgd_at_30(rngs):
    return Mlp(rngs, 4)


@fault("rate-too-high", "", "lower", *points, optimizer=optax.adam(3.0), steps=20)
def adam_at_3(rngs):
    return Mlp(rngs, 4)


@fault("rate-too-high", "", "lower", *points, optimizer=optax.sgd(300.0))
def sgd_at_300_before_training(rngs):
    return Mlp(rngs, 4)


@fault("rate-too-low", "", "raise", *points, optimizer=optax.sgd(1e-7), steps=20)
def sgd_at_1e_7(rngs):
    return Mlp(rngs, 4)


@fault("rate-too-low", "", "raise", *points, optimizer=optax.adam(1e-9), steps=20)
def adam_at_1e_9(rngs):
    return Mlp(rngs, 4)
