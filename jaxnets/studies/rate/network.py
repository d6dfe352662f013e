"""A deep ReLU network as a pure function, and how large its learning rate can be."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


# The rates that are tried: each is this many times the one before, and there are at
# most so many.
STEP, MOST_RATES = 2**0.5, 32


class Params(NamedTuple):
    """The weights of a network of n units in L hidden layers, without biases.

    Attributes:
        input: `(D, n)`.
        hidden: `(L, n, n)`.
        output: `(n, classes)`.
    """

    input: jax.Array
    hidden: jax.Array
    output: jax.Array


def draw(
    key: jax.Array, features: int, width: int, layers: int, classes: int
) -> Params:
    """Draw the weights: variance 2 / n in the hidden layers (He et al. 2015).

    The outputs start near zero, with variance 1 / n^2, as in Jelassi et al. 2023.
    """
    keys = jax.random.split(key, 3)
    normal = lambda key, shape, variance: (
        jnp.sqrt(variance) * jax.random.normal(key, shape)
    )
    return Params(
        normal(keys[0], (features, width), 1 / features),
        normal(keys[1], (layers, width, width), 2 / width),
        normal(keys[2], (width, classes), 1 / width**2),
    )


def last_state(params: Params, x: jax.Array, branch_scale: float | None) -> jax.Array:
    """Return the pre-activations z_L of the last hidden layer.

    Plain networks have `z_{l+1} = W_l relu(z_l)`, residual ones
    `z_{l+1} = z_l + s W_l relu(z_l)`, and `z_0 = W_in x`.

    Args:
        params: The weights.
        x: Inputs `(..., D)`.
        branch_scale: s; None stands for a plain network.

    Returns:
        `(..., n)`.
    """

    def layer(z, w):
        branch = jax.nn.relu(z) @ w
        return (branch if branch_scale is None else z + branch_scale * branch), None

    return jax.lax.scan(layer, x @ params.input, params.hidden)[0]


def read_out(params: Params, z: jax.Array, y: jax.Array) -> jax.Array:
    """Return half of the squared distance of the outputs from the label as one-hot."""
    outputs = jax.nn.relu(z) @ params.output
    return 0.5 * jnp.sum((outputs - jax.nn.one_hot(y, outputs.shape[-1])) ** 2)


class FirstStep(NamedTuple):
    """What one update of the hidden layers by gradient descent does at one input.

    Attributes:
        rate: Natural logarithm of the rate at which the update changes z_L by as much
            as z_L is large, in the linear approximation of a small rate.
        start: `||z_0||^2`.
        log_gradient: Natural logarithm of the norm of `dL/dz_L`.
    """

    rate: jax.Array
    start: jax.Array
    log_gradient: jax.Array


def first_step(
    params: Params, x: jax.Array, y: jax.Array, branch_scale: float | None
) -> FirstStep:
    """Measure the first update on the example `x (D,)` with the label `y ()`."""
    of_hidden = lambda hidden: last_state(
        params._replace(hidden=hidden), x, branch_scale
    )
    z, pullback = jax.vjp(of_hidden, params.hidden)
    at_last = jax.grad(lambda z: read_out(params, z, y))(z)
    (gradient,) = pullback(at_last)
    _, change = jax.jvp(of_hidden, (params.hidden,), (gradient,))
    return FirstStep(
        jnp.log(_norm(z)) - jnp.log(_norm(change)),
        _norm(x @ params.input) ** 2,
        jnp.log(_norm(at_last)),
    )


def _norm(values: jax.Array) -> jax.Array:
    """Return the norm, also where the squares would leave the range of float32."""
    largest = jnp.max(jnp.abs(values))
    return largest * jnp.linalg.norm(values / largest)


def largest_stable_rate(
    params: Params,
    x: jax.Array,
    y: jax.Array,
    start: jax.Array,
    branch_scale: float | None,
    *,
    updates: int,
) -> jax.Array:
    """Return the natural logarithm of the largest stable rate.

    A rate is stable if gradient descent of the hidden layers on one example never
    raises its loss above the loss before training. Rates are tried in growing order
    until one is not stable. A much larger one can seem stable again, because it ends
    training: no unit of a layer is active any more.

    Args:
        params: The weights before training.
        x: The example `(D,)` of all updates.
        y: Its label `()`.
        start: Natural logarithm of the smallest rate to try.
        branch_scale: s; None stands for a plain network.
        updates: Number of updates of a training.

    Returns:
        The logarithm of the largest rate before the first unstable one. NaN if the
        first rate is unstable or the last one is stable: the edge lies outside.
    """

    def loss(hidden):
        z = last_state(params._replace(hidden=hidden), x, branch_scale)
        return read_out(params, z, y)

    def stable(log_rate):
        rate = jnp.exp(log_rate)

        def update(hidden, _):
            value, gradient = jax.value_and_grad(loss)(hidden)
            return hidden - rate * gradient, value

        _, losses = jax.lax.scan(update, params.hidden, length=updates)
        # A loss that is not a number compares as unstable.
        return jnp.all(losses <= losses[0])

    rate_of = lambda count: start + count * jnp.log(STEP)
    count = jax.lax.while_loop(
        lambda count: (count < MOST_RATES) & stable(rate_of(count)),
        lambda count: count + 1,
        jnp.int32(0),
    )
    inside = (count > 0) & (count < MOST_RATES)
    return jnp.where(inside, rate_of(count - 1), jnp.nan)
