"""Pictures of losses, derivatives and learning rates."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from drawing import Picture
from faults import soft_plus

from jaxnets import functional as F
from jaxnets.studies.rate.network import draw as draw_weights
from jaxnets.studies.rate.network import first_step, largest_stable_rate


BATCH, STEPS, WIDTH = 32, 40, 64


def _curve(rate: float) -> np.ndarray:
    """Return the losses of gradient descent on a regression."""
    x = jax.random.normal(jax.random.key(3), (BATCH, 8))
    y = x @ jnp.arange(1.0, 9.0)
    loss = lambda w: jnp.mean((x @ w - y) ** 2)
    step = lambda w, _: (w - rate * jax.grad(loss)(w), loss(w))
    return np.asarray(jax.lax.scan(step, jnp.zeros(8), None, STEPS)[1])


def rate_too_high() -> Picture:
    """Losses of gradient descent at a rate beyond the edge of stability."""
    names = "rate 0.1", "rate 0.6"
    return Picture("update", "loss", *names, (_curve(0.1), _curve(0.6)), True)


def rate_too_low() -> Picture:
    """Losses of gradient descent at a rate that moves nothing."""
    names = "rate 0.1", "rate 0.00001"
    return Picture("update", "loss", *names, (_curve(0.1), _curve(1e-5)), True)


def padding() -> Picture:
    """The gradient of the inputs, where padded steps count and where they do not."""
    params = F.init_gru(jax.random.key(4), 4, 16)
    lengths = jnp.full((BATCH,), 20)
    x = jax.random.normal(jax.random.key(5), (BATCH, STEPS, 4))
    x = jnp.where(jnp.arange(STEPS)[:, None] < 20, x, 0.0)

    def loss(x, lengths):
        _, ys = F.gru(params, x, lengths=lengths)
        return jnp.sum(ys**2)

    norms = [
        np.linalg.norm(jax.jit(jax.grad(loss))(x, given), axis=(0, 2))
        for given in (lengths, jnp.full((BATCH,), STEPS))
    ]
    names = "with lengths", "without"
    y = "norm of the gradient of the input"
    return Picture("time step, of which 20 are valid", y, *names, (norms[0], norms[1]))


def non_finite() -> Picture:
    """A cross-entropy with the exponential written out, and with `log_softmax`."""
    logits = np.linspace(0.0, 120.0, 121)
    by_hand = lambda z: -jnp.log(1 / (1 + jnp.exp(z)))
    library = lambda z: -jax.nn.log_softmax(jnp.stack([0.0 * z, z]))[0]
    lines = [np.asarray(jax.vmap(loss)(logits)) for loss in (library, by_hand)]
    names = "log_softmax", "log of a quotient of exponentials"
    x = "logit of the wrong class"
    return Picture(x, "loss", *names, (lines[0], lines[1]), at=logits)


def wrong_backward() -> Picture:
    """The derivative that a rule returns, and that of the function."""
    x = np.linspace(-4.0, 4.0, 81)
    rule = jax.vmap(jax.grad(soft_plus))(x)
    function = (soft_plus(x + 1e-2) - soft_plus(x - 1e-2)) / 2e-2
    names = "finite differences of the function", "what its rule returns"
    lines = np.asarray(function), np.asarray(rule)
    return Picture("input", "derivative", *names, lines, at=x)


def wrong_loss() -> Picture:
    """The cross-entropy of a right answer, for logits and for their softmax."""
    margins = np.linspace(0.0, 12.0, 61)
    one_hot = lambda margin: jnp.zeros(8).at[0].set(margin)
    entropy = lambda z: optax.softmax_cross_entropy_with_integer_labels(z, 0)
    right = jax.vmap(lambda m: entropy(one_hot(m)))(margins)
    twice = jax.vmap(lambda m: entropy(jax.nn.softmax(one_hot(m))))(margins)
    names = "logits to the loss", "their softmax to the loss"
    lines = np.asarray(right), np.asarray(twice)
    x = "logit of the right class, of 8"
    return Picture(x, "loss", *names, lines, at=margins)


DEPTHS = (8, 16, 32)


@functools.cache
def log10_rates(depth: int, branch_scale: float | None) -> np.ndarray:
    """Return for each seed log10 of the largest stable learning rate.

    It is measured as `jaxnets contrast rate` does it, with small networks.
    """
    x = jax.random.normal(jax.random.key(8), (64,))
    y = jnp.int32(0)

    def of_key(key):
        params = draw_weights(key, 64, WIDTH, depth, 10)
        log_first = first_step(params, x, y, branch_scale).rate
        start = log_first - jnp.log(32.0)
        return largest_stable_rate(params, x, y, start, branch_scale, updates=5)

    keys = jax.random.split(jax.random.key(9), 40)
    return np.asarray(jax.lax.map(of_key, keys)) / np.log(10)


def rate_falls() -> Picture:
    """The largest stable rate over depth, of plain networks and of scaled branches."""
    plain = np.array([log10_rates(d, None).mean() for d in DEPTHS])
    scaled = np.array([log10_rates(d, d**-0.5).mean() for d in DEPTHS])
    names = "shortcuts, branches / sqrt(depth)", "plain"
    lines = 10**scaled, 10**plain
    at = np.log10(DEPTHS)
    y = "largest stable rate"
    return Picture("depth (log10)", y, *names, lines, True, at)
