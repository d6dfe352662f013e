"""Plain tanh convolutions in sequence, as Xiao et al. 2018 train 10,000 of them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxnets import functional as F
from jaxnets import nn, training
from jaxnets.data import Labelled
from jaxnets.gradflow import log_adjoint_norms, theory
from jaxnets.typing import ArrayLike


# Theory's line is computed layer by layer up to here. By then the variance of the
# signal has converged, and the line is straight.
SETTLED = 400


class Variances(NamedTuple):
    """How a network starts: the parameters of mean-field theory."""

    weight_variance: float
    bias_variance: float


class TanhNet(nnx.Module):
    """Layers `y_{l+1} = tanh(conv(y_l) + b)` between a convolution and a read-out.

    Args:
        layers: Number of layers of the stack.
        image_shape: `(height, width, C)` of the images.
        channels: Number of feature maps.
        classes: Number of classes.
        start: Kernels start delta-orthogonal with this weight variance, and biases
            normal with this bias variance.
        rngs: Source of randomness.
    """

    def __init__(
        self,
        layers: int,
        image_shape: Sequence[int],
        channels: int,
        classes: int,
        start: Variances,
        *,
        rngs: nnx.Rngs,
    ):
        height, width, features = image_shape
        options = {
            "kernel_init": F.delta_orthogonal_init(start.weight_variance**0.5),
            "bias_init": nnx.initializers.normal(start.bias_variance**0.5),
        }
        self.stem = nn.Conv(features, channels, (3, 3), rngs=rngs, **options)
        options |= {"norm": None, "activation": jnp.tanh, "order": "inner"}
        make = lambda rngs: nn.Block(
            channels, channels, shortcut=False, layers=1, rngs=rngs, **options
        )
        self.stack = nn.Stack(make, layers, rngs=rngs)
        self.output = nnx.Linear(height * width * channels, classes, rngs=rngs)

    def __call__(self, x: ArrayLike) -> jax.Array:
        """Return the logits `(B, classes)` of images `x (B, height, width, C)`."""
        return self.read_out(self.stack(self.start(x)))

    def start(self, x: ArrayLike) -> jax.Array:
        """Return y_0, the input of the stack."""
        return jnp.tanh(self.stem(jnp.asarray(x)))

    def read_out(self, y: jax.Array) -> jax.Array:
        """Return the logits of the output y_L of the stack."""
        return self.output(y.reshape(len(y), -1))


def gradient_profile(model: TanhNet, batch: Labelled) -> tuple[jax.Array, jax.Array]:
    """Return log10 of `||dL/dy_l||` at every layer, `(L,)`, and the mean of `y_0^2`.

    The norms are carried as logarithms, so they are finite at any depth.
    """
    definition, states = nnx.split(model.stack.blocks)
    step = lambda y, states: (nnx.merge(definition, states)(y), None)
    start = model.start(batch.x)
    last, _ = jax.lax.scan(step, start, states)
    loss = lambda y: training.classification(model.read_out, Labelled(y, batch.y))[0]
    norms = log_adjoint_norms(step, start, states, jax.grad(loss)(last))
    return norms / jnp.log(10.0), jnp.mean(start**2)


def predicted_profile(layers: int, start: Variances, mean_square: float) -> np.ndarray:
    """Return theory's logarithm of `||dL/dy_l||` relative to the last layer, in nats.

    Args:
        layers: L.
        start: How the network starts.
        mean_square: Mean of `y_0^2`.

    Returns:
        `(L,)` for y_1 to y_L; the last is 0.
    """
    variances = start._asdict()
    q_1 = start.weight_variance * mean_square + start.bias_variance
    q = theory.length_map(jnp.tanh, q_1, **variances)
    head = min(layers - 1, SETTLED)
    profile = theory.plain_gradient_profile(jnp.tanh, head, **variances, q=q)
    straight = layers - 1 - head
    if straight:
        slope = 0.5 * np.log(theory.chi_1(jnp.tanh, **variances))
        profile = np.append(
            profile + straight * slope, slope * np.arange(straight)[::-1]
        )
    return profile


def first_update_rate(model: TanhNet, batch: Labelled, decrease: float) -> float:
    """Return the rate with which the first update would lower the loss by `decrease`.

    To first order, gradient descent with the rate eta lowers the loss by
    `eta ||gradient||^2`.
    """
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    objective = training.make_objective(graphdef, training.classification)

    @jax.jit
    def square(params):
        gradient, _ = jax.grad(objective, has_aux=True)(params, rest, batch)
        return optax.tree.norm(gradient, squared=True)

    return decrease / float(square(params))
