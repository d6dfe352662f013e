"""Pictures of gradients and outputs along the layers of a network."""

import jax
import jax.numpy as jnp
import numpy as np
from drawing import Picture

from jaxnets.gradflow import measure, tap


DEPTH, WIDTH, BATCH = 20, 64, 32


def network(gain, activation, *, residual=0.0, bias=0.0, depth=DEPTH):
    """Return the gradient's norm and the outputs of each layer, before training."""
    w_key, x_key = jax.random.split(jax.random.key(0))
    w = gain * jax.random.normal(w_key, (depth, WIDTH, WIDTH)) / jnp.sqrt(WIDTH)

    def loss(w):
        def layer(h, w_l):
            h = residual * h + activation(tap(h @ w_l + bias, "z"))
            return h, h

        h, outputs = jax.lax.scan(layer, jax.random.normal(x_key, (BATCH, WIDTH)), w)
        return jnp.sum(h) / jnp.sqrt(WIDTH), outputs

    flow = jax.jit(lambda w: measure(loss, w, has_aux=True))(w)
    return np.asarray(flow.taps["z"].norm), np.asarray(flow.aux)


def vanishing() -> Picture:
    """Sigmoid layers beside ReLU layers with He's initialiser."""
    sick, _ = network(1.0, jax.nn.sigmoid)
    healthy, _ = network(2**0.5, jax.nn.relu)
    names = "ReLU, He's initialiser", "sigmoid, LeCun's"
    return Picture("layer", "norm of the gradient", *names, (healthy, sick), True)


def exploding() -> Picture:
    """ReLU layers with weights twice as large as He's."""
    sick, _ = network(2 * 2**0.5, jax.nn.relu)
    healthy, _ = network(2**0.5, jax.nn.relu)
    names = "He's initialiser", "weights twice as large"
    return Picture("layer", "norm of the gradient", *names, (healthy, sick), True)


def saturated() -> Picture:
    """The outputs of a tanh layer at two gains."""
    edges = np.linspace(-1, 1, 22)
    share = lambda outputs: np.histogram(outputs[5], edges)[0] / outputs[5].size
    lines = tuple(share(network(gain, jnp.tanh)[1]) for gain in (1.0, 4.0))
    y = "share of the outputs of layer 6"
    middles = (edges[1:] + edges[:-1]) / 2
    return Picture("output", y, "gain 1", "gain 4", (lines[0], lines[1]), at=middles)


def dead() -> Picture:
    """The share of units that are zero at all inputs, with and without a bias."""
    share = lambda outputs: (outputs[:8] == 0).all(axis=1).mean(axis=1)
    lines = tuple(share(network(2**0.5, jax.nn.relu, bias=b)[1]) for b in (0.0, -1.0))
    names = "biases of 0", "biases of -1"
    return Picture("layer", "share of dead units", *names, (lines[0], lines[1]))


def shattered() -> Picture:
    """The derivative of networks by their input, along a line of inputs."""
    w = jax.random.normal(jax.random.key(1), (50, 200, 200)) * jnp.sqrt(2 / 200)
    ends = jax.random.normal(jax.random.key(2), (2, 200)) / jnp.sqrt(200)

    def output(x, residual):
        start = x * ends[0] + 0.5 * ends[1]
        branch = jnp.where(residual > 0, 50**-0.5, 1.0)
        step = lambda h, w_l: (residual * h + branch * jax.nn.relu(h @ w_l), None)
        h, _ = jax.lax.scan(step, start, w)
        return h @ ends[1]

    slopes = jax.jit(jax.vmap(jax.grad(output), (0, None)))
    x = jnp.linspace(-2, 2, 200)
    lines = (np.asarray(slopes(x, r)) for r in (1.0, 0.0))
    healthy, sick = (line / np.abs(line).max() for line in lines)
    names = "50 residual layers", "50 plain layers"
    y = "derivative, scaled"
    return Picture("input", y, *names, (healthy, sick), at=np.asarray(x))


def rank_collapse() -> Picture:
    """The effective rank of the outputs over depth, with and without shortcuts."""

    def ranks(outputs):
        values = np.linalg.svd(outputs, compute_uv=False)
        p = values / values.sum(axis=1, keepdims=True)
        return np.exp(-(p * np.log(np.maximum(p, 1e-30))).sum(axis=1))

    sick = ranks(network(2**0.5, jax.nn.relu, depth=60)[1])
    branch = lambda z: jnp.tanh(z) / 60**0.5
    healthy = ranks(network(1.0, branch, residual=1.0, depth=60)[1])
    names = "tanh with shortcuts", "ReLU without"
    return Picture("layer", "effective rank of 32 outputs", *names, (healthy, sick))


def detached() -> Picture:
    """The gradient of each layer, without and with a `stop_gradient`."""
    w = jax.random.normal(jax.random.key(6), (DEPTH, WIDTH, WIDTH)) / jnp.sqrt(WIDTH)
    x = jax.random.normal(jax.random.key(7), (BATCH, WIDTH))

    def loss(w, cut):
        def layer(carry, w_l):
            h, number = carry
            h = h + jnp.tanh(h @ w_l) / DEPTH**0.5
            kept = jax.lax.stop_gradient(h)
            h = jnp.where(cut & (number == 9), kept, h)
            return (h, number + 1), None

        (h, _), _ = jax.lax.scan(layer, (x, 0), w)
        return jnp.mean(h**2)

    gradient = jax.jit(jax.grad(loss))
    norms = [np.linalg.norm(gradient(w, cut), axis=(1, 2)) for cut in (False, True)]
    names = "no stop_gradient", "one after layer 10"
    y = "norm of the gradient of the weights"
    return Picture("layer", y, *names, (norms[0], norms[1]))


def healthy() -> Picture:
    """The gradient along 60 layers, with shortcuts and without."""
    branch = lambda z: jnp.tanh(z) / 60**0.5
    well, _ = network(1.0, branch, residual=1.0, depth=60)
    sick, _ = network(0.9, jnp.tanh, depth=60)
    names = "tanh with shortcuts", "tanh without"
    return Picture("layer", "norm of the gradient", *names, (well, sick), True)
