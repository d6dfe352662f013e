"""The factor by which batch normalisation multiplies gradients in every layer."""

import jax
import numpy as np

from jaxnets.gradflow.theory import mean_field
from jaxnets.gradflow.theory.mean_field import Activation, length_map


def batch_norm_slope(activation: Activation = jax.nn.relu) -> float:
    """Return the slope of the gradient's norm in a plain network with BatchNorm.

    For wide layers `x_{l+1} = activation(BatchNorm(W x_l))` and a large batch, every
    pre-activation is standard normal. BatchNorm divides the signal and the gradient by
    the standard deviation over the batch, to which the mean of the activation does not
    contribute. So with z standard normal

        slope = 1/2 log(E[activation'(z)^2] / Var[activation(z)]),

    for every variance of W. For a continuous activation the slope is never negative,
    and it is 0 only for a linear one: gradients of plain networks with BatchNorm
    explode. With ReLU the squared gradient grows by pi / (pi - 1) = 1.467 per layer.

    Args:
        activation: Elementwise JAX function, not constant.

    Returns:
        Nats per layer, from the loss towards the input; minus infinity for a step
        function.

    Raises:
        TypeError: If `activation` is not elementwise.
        ValueError: If `activation` is constant.

    Example:
        >>> import jax
        >>> from jaxnets.gradflow.theory import batch_norm_slope
        >>> round(batch_norm_slope(), 4), round(batch_norm_slope(jax.nn.tanh), 4)
        (0.1916, 0.0818)
        >>> abs(round(batch_norm_slope(lambda x: x), 6))
        0.0

    Source: Yang, Pennington, Rao, Sohl-Dickstein and Schoenholz 2019, "A Mean Field
    Theory of Batch Normalization", the limit of a large batch. Gradients explode faster
    with small batches, and if inputs or image positions stay correlated.
    """
    unit = {"weight_variance": 1.0, "bias_variance": 0.0}
    square = length_map(activation, 1.0, **unit)
    with jax.enable_x64(True):
        nodes = jax.numpy.asarray(mean_field.NODES)
        values = np.asarray(mean_field.elementwise(activation, nodes), np.float64)
    variance = square - float(mean_field.DENSITY @ values) ** 2
    if variance <= 1e-12 * square or square == 0.0:
        raise ValueError(
            "`activation` is constant, so BatchNorm would divide by zero; wanted an "
            "activation such as `jax.nn.relu`."
        )
    chi = mean_field.chi_1(activation, **unit, q=1.0)
    with np.errstate(divide="ignore"):
        return float(0.5 * np.log(chi / variance))
