"""Faults of losses, activations of one's own, outputs, and what must be no fault."""

import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks.faults.case import IMAGES, POINTS, SERIES, classify, fault, healthy
from benchmarks.faults.nets import LECUN, Mlp, gain


points = (classify, POINTS)


class a_softmax_before_the_softmax_of_the_loss(Mlp):
    def __call__(self, x):
        return nnx.softmax(super().__call__(x))


fault("wrong-loss", "loss", "logits", *points, classes=8)(
    a_softmax_before_the_softmax_of_the_loss
)


def _binary(model, x, labels):
    truth = (labels < 4).astype(jnp.float32)
    return jnp.mean(optax.sigmoid_binary_cross_entropy(model(x)[:, 0], truth))


class a_sigmoid_before_the_sigmoid_of_the_loss(Mlp):
    def __init__(self, rngs):
        super().__init__(rngs, 2, outputs=1)

    def __call__(self, x):
        return nnx.sigmoid(super().__call__(x))


fault("wrong-loss", "loss", "logits", _binary, POINTS)(
    a_sigmoid_before_the_sigmoid_of_the_loss
)


def _clipped(model, x, labels):
    return jnp.clip(classify(model, x, labels), 0.0, 1.0)


@fault("detached", "body", "clip", _clipped, POINTS)
def a_loss_beyond_the_bound_of_a_clip(rngs):
    return Mlp(rngs, 3)


def _negative(model, x, labels):
    return -classify(model, x, labels)


@fault("wrong-loss", "sign", "sign", _negative, POINTS, classes=8)
def a_loss_of_the_wrong_sign(rngs):
    return Mlp(rngs, 3)


@fault(
    "wrong-loss", "sign", "sign", _negative, POINTS, optimizer=optax.sgd(0.3), steps=30
)
def a_loss_of_the_wrong_sign_in_training(rngs):
    return Mlp(rngs, 3)


@fault("wrong-loss", "sign", "sign", _negative, POINTS)
def a_loss_of_the_wrong_sign_that_nothing_is_known_of(rngs):
    return Mlp(rngs, 3)


@fault("saturated", r"body/2\b", "gain", *points)
def softsign_of_huge_weights(rngs):
    softsign = lambda x: x / (1 + jnp.abs(x))
    return Mlp(rngs, 5, softsign, LECUN, inits={2: gain(60.0)})


class relu_at_the_output(Mlp):
    """No input gives it a positive number."""

    def __init__(self, rngs):
        super().__init__(rngs, 3, outputs=1)
        self.head.bias = nnx.Param(jnp.full(1, -30.0))

    def __call__(self, x):
        return nnx.relu(super().__call__(x))


def _fit(model, x, labels):
    return jnp.mean((model(x)[:, 0] - labels) ** 2)


fault("dead", "head", "bias|leaky", _fit, POINTS)(relu_at_the_output)


class a_parameter_of_whole_numbers(Mlp):
    def __init__(self, rngs):
        super().__init__(rngs, 2)
        self.scales = nnx.Param(jnp.arange(1, 9))

    def __call__(self, x):
        return super().__call__(x) * self.scales[...].astype(jnp.float32)[None] / 8


fault("detached", "scales", "floating", *points)(a_parameter_of_whole_numbers)


class a_wavenet(nnx.Module):
    """The last block prepares a next one that is not there."""

    def __init__(self, rngs):
        conv = lambda size, d=1: nnx.Conv(
            12, 12, (size,), kernel_dilation=(d,), padding="CAUSAL", rngs=rngs
        )
        self.inlet = nnx.Conv(6, 12, (1,), rngs=rngs)
        self.filters = nnx.List([conv(2, 2**n) for n in range(4)])
        self.gates = nnx.List([conv(2, 2**n) for n in range(4)])
        self.residual = nnx.List([conv(1) for _ in range(4)])
        self.skip = nnx.List([conv(1) for _ in range(4)])
        self.head = nnx.Linear(12, 8, rngs=rngs)

    def __call__(self, x):
        x, out = self.inlet(x), 0.0
        for block in zip(
            self.filters, self.gates, self.residual, self.skip, strict=True
        ):
            filtered, gate, residual, skip = block
            z = jnp.tanh(filtered(x)) * nnx.sigmoid(gate(x))
            out = out + skip(z)
            x = x + residual(z)
        return self.head(nnx.relu(out)[:, -1])


healthy(classify, SERIES)(a_wavenet)


class softsign_of_the_usual_weights(Mlp):
    def __init__(self, rngs):
        super().__init__(rngs, 4, lambda x: x / (1 + jnp.abs(x)), LECUN)


healthy(*points)(softsign_of_the_usual_weights)


def _log_of_shares(model, x, labels):
    shares = model(x)
    return -jnp.mean(jnp.log(shares[jnp.arange(labels.size), labels] + 1e-9))


class a_softmax_in_the_model_and_none_in_the_loss(Mlp):
    def __call__(self, x):
        return nnx.softmax(super().__call__(x))


healthy(_log_of_shares, POINTS, classes=8)(a_softmax_in_the_model_and_none_in_the_loss)


class squeeze_and_excitation(nnx.Module):
    """Sigmoids that scale channels are no logits."""

    def __init__(self, rngs):
        self.conv1 = nnx.Conv(3, 12, (3, 3), rngs=rngs)
        self.squeeze = nnx.Linear(12, 4, rngs=rngs)
        self.excite = nnx.Linear(4, 12, rngs=rngs)
        self.conv2 = nnx.Conv(12, 12, (3, 3), rngs=rngs)
        self.head = nnx.Linear(12, 8, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.conv1(x))
        scale = nnx.sigmoid(self.excite(nnx.relu(self.squeeze(x.mean((1, 2))))))
        x = nnx.relu(self.conv2(x * scale[:, None, None]))
        return self.head(x.mean((1, 2)))


healthy(classify, IMAGES)(squeeze_and_excitation)
