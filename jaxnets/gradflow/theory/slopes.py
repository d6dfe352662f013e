"""Slopes: nats per step or layer that a gradient's logarithm gains or loses."""

import jax.numpy as jnp
import numpy as np

from jaxnets.gradflow.theory.mean_field import (
    Activation,
    Real,
    check_not_negative,
    chi_1,
)


def rnn_slope(
    gain: Real, input_variance: Real = 0.0, activation: Activation = jnp.tanh
) -> float:
    """Return the slope of `log ||dL/dh_t||` per step back in time, for a plain RNN.

    With `h_t = activation(W h_{t-1} + u_t)`, W a gain times a random orthogonal matrix
    and `u_t` (input and bias) of variance `input_variance`, settled at variance q*,

        slope = log(gain) + 1/2 log E[activation'(sqrt(q*) z)^2].

    The first term alone is the rule of the largest weight; the second is why an RNN
    with a spectral radius above 1 can still forget: input pushes its units into
    saturation.

    Args:
        gain: Every singular value of W, above 0.
        input_variance: Variance of `W_xh x_t + b` over units.
        activation: Elementwise JAX function.

    Returns:
        Nats per step; negative where gradients vanish.

    Raises:
        ValueError: If an argument is negative.

    Example:
        >>> round(rnn_slope(1.0), 2), round(rnn_slope(1.2, 0.25), 2)
        (-0.0, -0.15)

    Source: the bound is Pascanu, Mikolov and Bengio 2013, section 2.1; the mean over
    units is the mean-field argument of Schoenholz et al. 2017 in time.
    """
    check_not_negative(gain=gain, input_variance=input_variance)
    factor = chi_1(activation, weight_variance=gain**2, bias_variance=input_variance)
    with np.errstate(divide="ignore"):
        return float(0.5 * np.log(factor))


def forget_gate_slope(bias: Real) -> float:
    """Return the slope of the direct path through an LSTM's cell, in nats per step.

    `log sigmoid(bias)`: the forget gate at its bias, with zero input. The gradient also
    travels through the recurrent weights, so the measured slope can be larger.

    Args:
        bias: Bias of the forget gate.

    Returns:
        Nats per step, below 0.

    Example:
        >>> [round(forget_gate_slope(b), 3) for b in (0.0, 1.0, 4.0)]
        [-0.693, -0.313, -0.018]

    Source: Gers, Schmidhuber and Cummins 2000, "Learning to Forget", for the gate;
    Jozefowicz, Zaremba and Sutskever 2015, "An Empirical Exploration of Recurrent
    Network Architectures", for the bias. The same for a GRU's `z`.
    """
    return -float(np.logaddexp(0.0, -bias))


def plain_relu_slope(weight_variance: Real) -> float:
    """Return the slope of a plain ReLU network's gradient norm, in nats per layer.

    `1/2 log(weight_variance / 2)`: half of the units are active. He's initialiser has
    `weight_variance` 2 and slope 0. For a convolution the fan counts the whole window,
    and zero padding takes a part of it away: multiply `weight_variance` by
    `conv_border_rate`.

    Args:
        weight_variance: Fan-out times the variance of a weight, because the gradient
            travels backwards.

    Returns:
        Nats per layer.

    Raises:
        ValueError: If `weight_variance` is negative or not finite.

    Example:
        >>> plain_relu_slope(2.0), round(plain_relu_slope(1.0), 4)
        (0.0, -0.3466)

    Source: He et al. 2015, "Delving Deep into Rectifiers", section 2.2, backward case.
    """
    check_not_negative(weight_variance=weight_variance)
    with np.errstate(divide="ignore"):
        return float(0.5 * np.log(weight_variance / 2.0))


def residual_relu_slope(weight_variance: Real, layers: int = 2) -> float:
    """Return the slope of a residual ReLU network's gradient norm, in nats per block.

    For pre-activation blocks `x + F(x)`, F of `layers` times ReLU and then independent
    weights, the squared norm grows by one plus the gain of the branch:

        slope = 1/2 log(1 + (weight_variance / 2)^layers).

    It is never negative: the shortcut keeps what the branch loses. To have slope 0,
    scale the branch or start its last layer at zero. Where a ReLU ends the branch or
    follows the addition, the signal is nowhere negative, its mean adds up from block to
    block, and the gradient grows faster than this.

    Args:
        weight_variance: Fan-out times the variance of a weight, as for
            `plain_relu_slope`.
        layers: Layers with weights in each branch.

    Returns:
        Nats per block.

    Raises:
        ValueError: If `weight_variance` is negative or not finite, or `layers` < 1.

    Example:
        >>> round(residual_relu_slope(2.0), 4), round(residual_relu_slope(0.5), 4)
        (0.3466, 0.0303)

    Source: Yang and Schoenholz 2017, "Mean Field Residual Networks: On the Edge of
    Chaos", for the argument; Hanin and Rolnick 2018, "How to Start Training", for
    scaling the branch.
    """
    check_not_negative(weight_variance=weight_variance)
    if layers < 1:
        raise ValueError(f"`layers` is {layers}; wanted 1 or more, such as 2.")
    return float(0.5 * np.log1p((weight_variance / 2.0) ** layers))
