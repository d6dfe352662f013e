"""Mean-field theory of the gradient norm at every layer of a network."""

from collections.abc import Callable

import numpy as np

from jaxnets.arguments import as_count
from jaxnets.gradflow.theory.mean_field import (
    Activation,
    Real,
    check_not_negative,
    chi_1,
    length_map,
)


def plain_gradient_profile(
    activation: Activation,
    layers: int,
    *,
    weight_variance: Real,
    bias_variance: Real,
    q: Real,
) -> np.ndarray:
    """Return the log of the gradient norm at every layer of a plain network.

    For `z_{l+1} = W activation(z_l) + b`, with `q_0 = q` and `q_{l+1}` from
    `length_map`, the norm relative to the last layer is

        log ||dL/dz_l|| = 1/2 sum_{k >= l} log chi_1(q_k).

    Where the variances have converged to q*, the norm is exponential in depth. The
    profile also shows the first layers, where they have not.

    Args:
        activation: Elementwise JAX function.
        layers: Number of layers L between the first pre-activation and the last.
        weight_variance: Fan-in times the variance of a weight.
        bias_variance: Variance of a bias.
        q: Variance of the first pre-activation.

    Returns:
        `(L + 1,)` nats in float64; the last is 0. They are minus infinity for layers
        that no gradient reaches.

    Raises:
        TypeError: If `activation` is not elementwise, or another argument not a
            number.
        ValueError: If a variance is negative or not finite, or `layers` is below 1.

    Example:
        >>> import jax
        >>> from jaxnets.gradflow.theory import plain_gradient_profile
        >>> plain_gradient_profile(
        ...     jax.nn.relu, 2, weight_variance=1.0, bias_variance=0.0, q=1.0
        ... ).round(4)
        array([-0.6931, -0.3466,  0.    ])

    Source: Schoenholz et al. 2017, "Deep Information Propagation", section 4.
    """
    variances = {"weight_variance": weight_variance, "bias_variance": bias_variance}
    check_not_negative(**variances, q=q)
    count = as_count(layers, "layers")

    def layer(q: float) -> tuple[float, float]:
        factor = chi_1(activation, **variances, q=q)
        return factor, length_map(activation, q, **variances)

    return _profile(layer, float(q), count)


def residual_gradient_profile(
    activation: Activation,
    blocks: int,
    *,
    weight_variance: Real,
    bias_variance: Real,
    output_weight_variance: Real = 1.0,
    output_bias_variance: Real = 0.0,
    p: Real = 1.0,
) -> np.ndarray:
    r"""Return the log of the gradient norm at every block of a residual network.

    For blocks `x_{l+1} = x_l + V activation(W x_l + b) + a`, with independent weights,
    `p_l` the mean square of `x_l` and `q_l` the variance of `W x_l + b`,

        q_l           = weight_variance * p_l + bias_variance,
        p_{l+1}       = p_l + output_weight_variance * E[activation(u)^2]
                            + output_bias_variance,
        ||g_l||^2     = ||g_{l+1}||^2 (1 + output_weight_variance * weight_variance
                                         * E[activation'(u)^2]),

    where u is Gaussian with variance `q_l`. A bounded activation saturates as p grows,
    so the factor tends to 1, for tanh as `1 + C / sqrt(l)`, and the gradient grows as
    `exp(c sqrt(L))`, more slowly than any exponential. For ReLU the factor is constant,
    `1 + output_weight_variance * weight_variance / 2`, and the growth is exponential; a
    small `output_weight_variance` reduces it.

    Args:
        activation: Elementwise JAX function.
        blocks: Number of residual blocks L.
        weight_variance: Fan-in times the variance of W.
        bias_variance: Variance of b.
        output_weight_variance: Fan-in times the variance of V.
        output_bias_variance: Variance of a.
        p: Mean square of the input of the first block.

    Returns:
        `(L + 1,)` nats in float64 for `dL/dx_l`; the last is 0, and none is negative.

    Raises:
        TypeError: If `activation` is not elementwise, or another argument not a
            number.
        ValueError: If a variance is negative or not finite, or `blocks` is below 1.

    Example:
        >>> import jax
        >>> from jaxnets.gradflow.theory import residual_gradient_profile
        >>> residual_gradient_profile(
        ...     jax.nn.relu, 2, weight_variance=2.0, bias_variance=0.0
        ... ).round(4)
        array([0.6931, 0.3466, 0.    ])

    Source: Yang and Schoenholz 2017, "Mean Field Residual Networks: On the Edge of
    Chaos", the full residual network. If a ReLU ends the branch, this does not hold:
    the mean of the signal adds up, and the cross terms are not zero.
    """
    check_not_negative(
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        output_weight_variance=output_weight_variance,
        output_bias_variance=output_bias_variance,
        p=p,
    )
    count = as_count(blocks, "blocks")
    branch = {"bias_variance": 0.0, "weight_variance": output_weight_variance}

    def block(p: float) -> tuple[float, float]:
        q = weight_variance * p + bias_variance
        gain = weight_variance * chi_1(activation, **branch, q=q)
        added = length_map(activation, q, **branch) + output_bias_variance
        return float(1.0 + gain), float(p + added)

    return _profile(block, float(p), count)


def _profile(
    layer: Callable[[float], tuple[float, float]], length: float, count: int
) -> np.ndarray:
    """Return the log norm at every layer, from each layer's factor of the square."""
    factors = np.empty(count)
    for index in range(count):
        factors[index], length = layer(length)
    with np.errstate(divide="ignore"):
        logs = 0.5 * np.log(factors)
    return np.append(np.cumsum(logs[::-1])[::-1], 0.0)
