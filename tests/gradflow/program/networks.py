"""Small networks of which the structure is known."""

import jax
import jax.numpy as jnp
from flax import nnx


def linear(rngs, features=2):
    return nnx.Linear(features, features, rngs=rngs)


def linears(rngs, count):
    return nnx.List([linear(rngs) for _ in range(count)])


class Plain(nnx.Module):
    """A stem, layers with plain ReLUs, and a head."""

    def __init__(self, rngs, depth=3):
        self.stem, self.head = linear(rngs), linear(rngs)
        self.body = linears(rngs, depth)

    def __call__(self, x):
        x = self.stem(x)
        for layer in self.body:
            x = nnx.relu(layer(x))
        return self.head(x)


class Wrapped(nnx.Module):
    """The layers of `Plain` in a module of their own, and all of it in another one."""

    def __init__(self, rngs):
        self.stem, self.head = linear(rngs), linear(rngs)
        self.body = nnx.Sequential(*linears(rngs, 3))

    def __call__(self, x):
        return self.head(self.body(self.stem(x)))


class Block(nnx.Module):
    """A residual block of two layers."""

    def __init__(self, rngs):
        self.first, self.second = linear(rngs), linear(rngs)

    def __call__(self, x):
        return x + self.second(nnx.relu(self.first(x)))


class Residual(nnx.Module):
    """A stem, residual blocks and a head."""

    def __init__(self, rngs, depth=3):
        self.stem, self.head = linear(rngs), linear(rngs)
        self.blocks = nnx.List([Block(rngs) for _ in range(depth)])

    def __call__(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class UNet(nnx.Module):
    """Two levels down and up, with shortcuts across."""

    def __init__(self, rngs):
        self.down = linears(rngs, 2)
        self.middle = linears(rngs, 2)
        self.up = linears(rngs, 2)

    def __call__(self, x):
        first = self.down[0](x)
        second = self.down[1](first)
        x = self.middle[1](self.middle[0](second))
        return self.up[1](first + self.up[0](second + x))


class Paths(nnx.Module):
    """Two parallel paths that meet."""

    def __init__(self, rngs):
        self.a, self.b, self.head = linears(rngs, 3), linears(rngs, 2), linear(rngs)

    def __call__(self, x):
        a = b = x
        for layer in self.a:
            a = layer(a)
        for layer in self.b:
            b = layer(b)
        return self.head(a * b)


class Conditioned(nnx.Module):
    """Residual blocks that all get the same embedding of a second input."""

    def __init__(self, rngs, depth=3):
        self.embed, self.stem, self.head = (linear(rngs) for _ in range(3))
        self.blocks = nnx.List([Block(rngs) for _ in range(depth)])
        self.shifts = linears(rngs, depth)

    def __call__(self, x):
        condition = self.embed(jnp.cos(x))
        x = self.stem(x)
        for block, shift in zip(self.blocks, self.shifts, strict=True):
            x = block(x + shift(condition))
        return self.head(x)


class Repeated(nnx.Module):
    """One layer that is called three times."""

    def __init__(self, rngs):
        self.stem, self.layer, self.head = (linear(rngs) for _ in range(3))

    def __call__(self, x):
        x = self.stem(x)
        for _ in range(3):
            x = jnp.tanh(self.layer(x))
        return self.head(x)


class Twins(nnx.Module):
    """One encoder for two inputs."""

    def __init__(self, rngs):
        self.encoder = linear(rngs)

    def __call__(self, x):
        return self.encoder(x) * self.encoder(x[::-1])


class Scanned(nnx.Module):
    """Layers of one shape in a scan over their parameters."""

    def __init__(self, rngs, wrap=lambda call: call):
        self.stem, self.head = linear(rngs), linear(rngs)
        make = nnx.vmap(Block, in_axes=0, out_axes=0)
        self.units = nnx.split_rngs(splits=3)(make)(rngs)
        self.wrap = wrap

    def __call__(self, x):
        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        def over_layers(x, unit):
            return self.wrap(lambda unit, x: unit(x))(unit, x)

        return self.head(over_layers(self.stem(x), self.units))


class Recurrent(nnx.Module):
    """A stem, a recurrent layer and a head."""

    def __init__(self, rngs, rnn):
        self.stem, self.rnn, self.head = linear(rngs), rnn, linear(rngs)

    def __call__(self, x):
        return self.head(self.rnn(self.stem(x)))


class Unrolled(nnx.Module):
    """A cell in a Python loop over time."""

    def __init__(self, rngs):
        self.stem, self.head = linear(rngs), linear(rngs)
        self.cell = nnx.SimpleCell(2, 2, rngs=rngs)

    def __call__(self, x):
        x, h = self.stem(x), jnp.zeros((x.shape[0], 2))
        for time in range(x.shape[1]):
            h, _ = self.cell(h, x[:, time])
        return self.head(h)


class Between(nnx.Module):
    """Two layers with a function between them."""

    def __init__(self, rngs, function):
        self.first, self.second = linear(rngs), linear(rngs)
        self.function = function

    def __call__(self, x):
        return self.second(self.function(self.first(x)))


class LowRank(nnx.Module):
    """A frozen layer with a low-rank update that starts at zero."""

    def __init__(self, rngs):
        self.first, self.second = linear(rngs), linear(rngs)
        zeros = nnx.initializers.zeros
        self.a = nnx.Linear(2, 1, rngs=rngs)
        self.b = nnx.Linear(1, 2, kernel_init=zeros, rngs=rngs)

    def __call__(self, x):
        x = self.first(x)
        return self.second(x + self.b(self.a(x)))


def loss(model, x):
    return jnp.mean(model(x) ** 2)


def through(x, rounded):
    """The straight-through estimator."""
    return x + jax.lax.stop_gradient(rounded - x)
