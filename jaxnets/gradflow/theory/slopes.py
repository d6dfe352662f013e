"""Slopes of a gradient's logarithm, in nats per time step or layer."""

import jax.numpy as jnp
import numpy as np

from jaxnets.arguments import as_count
from jaxnets.gradflow.theory.mean_field import (
    Activation,
    Real,
    check_finite,
    check_not_negative,
    chi_1,
)


def rnn_slope(
    gain: Real, input_variance: Real = 0.0, activation: Activation = jnp.tanh
) -> float:
    """Return the slope of `log ||dL/dh_t||` per step back in time, for a plain RNN.

    For `h_t = activation(W h_{t-1} + u_t)`, where W is a gain times a random orthogonal
    matrix and `u_t`, input and bias, has variance `input_variance`, and with
    pre-activations at their fixed point q*,

        slope = log(gain) + 1/2 log E[activation'(sqrt(q*) z)^2].

    The first term is the bound by the largest singular value. The second explains why
    an RNN with a spectral radius above 1 can still have vanishing gradients: the input
    saturates its units.

    Args:
        gain: The singular value of W, at least 0.
        input_variance: Variance of `W_xh x_t + b` over units.
        activation: Elementwise JAX function.

    Returns:
        Nats per step; negative if gradients vanish.

    Raises:
        TypeError: If `activation` is not elementwise, or another argument not a
            number.
        ValueError: If `gain` or `input_variance` is negative or not finite, or there is
            no fixed point.

    Example:
        >>> from jaxnets.gradflow.theory import rnn_slope
        >>> round(rnn_slope(1.0), 2), round(rnn_slope(1.2, 0.25), 2)
        (-0.0, -0.15)

    Source: Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent
    neural networks", section 2.1, for the bound; Schoenholz et al. 2017, "Deep
    Information Propagation", for the mean over units, applied to time here.
    """
    check_not_negative(gain=gain, input_variance=input_variance)
    factor = chi_1(activation, weight_variance=gain**2, bias_variance=input_variance)
    with np.errstate(divide="ignore"):
        return float(0.5 * np.log(factor))


def forget_gate_slope(bias: Real) -> float:
    """Return the slope of the direct path through an LSTM's cell, in nats per step.

    It is `log sigmoid(bias)`, the log of the forget gate for zero input and state. The
    gradient also passes through the recurrent weights, so the measured slope can be
    larger.

    Args:
        bias: Bias of the forget gate.

    Returns:
        Nats per step, below 0.

    Raises:
        TypeError: If `bias` is not a number.
        ValueError: If `bias` is not finite.

    Example:
        >>> from jaxnets.gradflow.theory import forget_gate_slope
        >>> [round(forget_gate_slope(b), 3) for b in (0.0, 1.0, 4.0)]
        [-0.693, -0.313, -0.018]

    Source: Gers, Schmidhuber and Cummins 2000, "Learning to Forget", for the gate;
    Jozefowicz, Zaremba and Sutskever 2015, "An Empirical Exploration of Recurrent
    Network Architectures", for the bias. The slope holds for a GRU's `z` too.
    """
    check_finite("bias", bias)
    return -float(np.logaddexp(0.0, -bias))


def plain_relu_slope(weight_variance: Real) -> float:
    """Return the slope of a plain ReLU network's gradient norm, in nats per layer.

    It is `1/2 log(weight_variance / 2)`, because half of the units are active. He's
    initialiser has `weight_variance` 2 and slope 0. For a convolution the fan-out
    includes the whole window; multiply `weight_variance` by `conv_border_rate` to
    account for zero padding.

    Args:
        weight_variance: Fan-out times the variance of a weight; the fan-out, because
            the gradient passes backwards.

    Returns:
        Nats per layer.

    Raises:
        TypeError: If an argument is not a number.
        ValueError: If `weight_variance` is negative or not finite.

    Example:
        >>> from jaxnets.gradflow.theory import plain_relu_slope
        >>> plain_relu_slope(2.0), round(plain_relu_slope(1.0), 4)
        (0.0, -0.3466)

    Source: He et al. 2015, "Delving Deep into Rectifiers", section 2.2, backward case.
    """
    check_not_negative(weight_variance=weight_variance)
    with np.errstate(divide="ignore"):
        return float(0.5 * np.log(weight_variance / 2.0))


def residual_relu_slope(weight_variance: Real, layers: int = 2) -> float:
    """Return the slope of a residual ReLU network's gradient norm, in nats per block.

    The pre-activation blocks are `x + F(x)`, where F is `layers` times a ReLU followed
    by independent weights. The squared norm grows by one plus the gain of the branch:

        slope = 1/2 log(1 + (weight_variance / 2)^layers).

    The slope is never negative, because the shortcut passes the whole gradient. To
    bring it to 0, scale the branch or initialise its last layer with zeros. If a ReLU
    ends the branch or follows the addition, the signal is never negative, its mean adds
    up from block to block, and the gradient grows faster than this.

    Args:
        weight_variance: Fan-out times the variance of a weight, as for
            `plain_relu_slope`.
        layers: Number of layers with weights in each branch.

    Returns:
        Nats per block.

    Raises:
        TypeError: If an argument is not a number, or a count not an int.
        ValueError: If `weight_variance` is negative or not finite, or `layers` is below
            1.

    Example:
        >>> from jaxnets.gradflow.theory import residual_relu_slope
        >>> round(residual_relu_slope(2.0), 4), round(residual_relu_slope(0.5), 4)
        (0.3466, 0.0303)

    Source: Yang and Schoenholz 2017, "Mean Field Residual Networks: On the Edge of
    Chaos", for the argument; Hanin and Rolnick 2018, "How to Start Training", for
    scaling the branch.
    """
    check_not_negative(weight_variance=weight_variance)
    layers = as_count(layers, "layers")
    return float(0.5 * np.log1p((weight_variance / 2.0) ** layers))
