"""Mean-field theory of two inputs: how their correlation changes with depth."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.arguments import check_number
from jaxnets.gradflow.theory import mean_field
from jaxnets.gradflow.theory.mean_field import (
    Activation,
    Real,
    check_not_negative,
    elementwise,
    fixed_point_length,
    length_map,
)


# The trapezoidal rule of `mean_field` in two dimensions, with a coarser grid: it is
# still exact to rounding for smooth functions.
SPACING = 0.02
NODES = (np.arange(900) - 449.5) * SPACING
# Correlations closer to 1 than this count as 1.
NEAR_ONE = 1e-4


def correlation_map(
    activation: Activation,
    c: Real,
    *,
    weight_variance: Real,
    bias_variance: Real,
    q: Real | None = None,
) -> float:
    """Return the correlation of two inputs in the next layer, from c in this one.

    The pre-activations `u_1, u_2` of two inputs of equal length are jointly Gaussian
    with variance q and covariance `c q`. In the next layer their correlation is

        c' = (weight_variance * E[activation(u_1) activation(u_2)] + bias_variance) / q'

    with q' from `length_map`. c = 1 is always a fixed point. The correlations are
    cosines: the mean over units is not subtracted.

    Args:
        activation: Elementwise JAX function.
        c: Correlation of the pre-activations, from -1 to 1.
        weight_variance: Fan-in times the variance of a weight.
        bias_variance: Variance of a bias.
        q: Pre-activation variance; None means the fixed point q*.

    Returns:
        The correlation c'; NaN if the next layer is exactly zero.

    Raises:
        TypeError: If `activation` is not elementwise, or another argument not a
            number.
        ValueError: If a variance is negative, c is not between -1 and 1, or `q` is None
            and there is no fixed point.

    Example:
        >>> import jax
        >>> from jaxnets.gradflow.theory import correlation_map
        >>> c = correlation_map(  # the arc-cosine kernel of degree 1
        ...     jax.nn.relu, 0.0, weight_variance=2.0, bias_variance=0.0, q=1.0
        ... )
        >>> round(c, 4)  # 1 / pi
        0.3183

    Source: Poole et al. 2016, "Exponential expressivity in deep neural networks
    through transient chaos", equation 5.
    """
    q = _length(activation, c, weight_variance, bias_variance, q)
    variances = {"weight_variance": weight_variance, "bias_variance": bias_variance}
    following = length_map(activation, q, **variances)
    with jax.enable_x64(True):
        product = float(_mean_product(activation, float(c), float(q))[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.divide(weight_variance * product + bias_variance, following))


def correlation_slope(
    activation: Activation,
    c: Real,
    *,
    weight_variance: Real,
    bias_variance: Real,
    q: Real | None = None,
) -> float:
    """Return the slope `dc'/dc` of the correlation map, at equal lengths q' = q.

    The slope is `weight_variance * E[activation'(u_1) activation'(u_2)]`. It is
    computed without derivatives of the activation, so it is also right for a step
    function, whose slope is finite below c = 1 and infinite at 1. A small deviation
    from the fixed point c* is multiplied by the slope in each layer, so
    `depth_scale(slope at c*)` is the depth `xi_c` up to which two inputs can be
    distinguished. In the ordered phase c* = 1, and the slope there is `chi_1`, the
    factor of the squared gradient.

    Args:
        activation: Elementwise JAX function.
        c: Correlation of the pre-activations, from -1 to 1. Above 0.9999 the slope at
            0.9999 is returned.
        weight_variance: Fan-in times the variance of a weight.
        bias_variance: Variance of a bias.
        q: Pre-activation variance; None means the fixed point q*.

    Returns:
        The slope.

    Raises:
        TypeError: If `activation` is not elementwise, or another argument not a
            number.
        ValueError: If a variance is negative, c is not between -1 and 1, or `q` is None
            and there is no fixed point.

    Example:
        >>> import jax
        >>> from jaxnets.gradflow.theory import correlation_slope
        >>> slope = correlation_slope(
        ...     jax.nn.relu, 0.0, weight_variance=2.0, bias_variance=0.0, q=1.0
        ... )
        >>> round(slope, 4)
        0.5

    Source: Schoenholz et al. 2017, "Deep Information Propagation", section 3.
    """
    # The slope at q = 0 is the limit of slopes at small q.
    q = max(_length(activation, c, weight_variance, bias_variance, q), 1e-12)
    with jax.enable_x64(True):
        product = float(_mean_product(activation, float(c), float(q))[1])
    return float(weight_variance * product)


def fixed_point_correlation(
    activation: Activation, *, weight_variance: Real, bias_variance: Real
) -> float:
    """Return c*, the correlation to which two inputs converge with depth.

    It is 1 in the ordered phase, where deep layers map all inputs to one. In the
    chaotic phase it is below 1 and the same for all pairs of inputs, however similar.
    The map is convex between 0 and 1, so it has one stable fixed point there, to which
    Newton's method from 0 converges from below.

    Args:
        activation: Elementwise JAX function.
        weight_variance: Fan-in times the variance of a weight.
        bias_variance: Variance of a bias.

    Returns:
        The correlation c*. The error is about 1e-4 for discontinuous functions and for
        c* near 1.

    Raises:
        TypeError: If `activation` is not elementwise, or another argument not a
            number.
        ValueError: If a variance is negative or the length map has no fixed point.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow.theory import fixed_point_correlation
        >>> round(fixed_point_correlation(
        ...     jnp.tanh, weight_variance=0.81, bias_variance=0.05), 3)
        1.0
        >>> round(fixed_point_correlation(
        ...     jnp.sign, weight_variance=1.0, bias_variance=0.0), 3)
        0.0

    Source: Poole et al. 2016, "Exponential expressivity in deep neural networks
    through transient chaos", section 3 and figure 2.
    """
    variances = {"weight_variance": weight_variance, "bias_variance": bias_variance}
    q = fixed_point_length(activation, **variances)
    options = {**variances, "q": q}
    if correlation_slope(activation, 1.0 - NEAR_ONE, **options) <= 1.0:
        return 1.0
    c = 0.0
    for _ in range(20):
        excess = correlation_map(activation, c, **options) - c
        step = excess / (1.0 - correlation_slope(activation, c, **options))
        c = min(c + step, 1.0 - NEAR_ONE)
        if abs(step) < 1e-6:
            break
    return c


def length_slope(
    activation: Activation, *, weight_variance: Real, bias_variance: Real
) -> float:
    """Return the slope `dq'/dq` of the length map at its fixed point q*.

    The slope is `weight_variance * E[activation(u)^2 (z^2 - 1)] / (2 q)` with
    `u = sqrt(q) z`, which needs no derivative. A small deviation of the length from q*
    is multiplied by the slope in each layer, so `depth_scale(slope)` is the depth scale
    `xi_q` of lengths.

    Args:
        activation: Elementwise JAX function.
        weight_variance: Fan-in times the variance of a weight.
        bias_variance: Variance of a bias.

    Returns:
        The slope; 1 or more if q* is not stable.

    Raises:
        TypeError: If `activation` is not elementwise, or another argument not a
            number.
        ValueError: If a variance is negative or the length map has no fixed point.

    Example:
        >>> import jax
        >>> from jaxnets.gradflow.theory import length_slope
        >>> slope = length_slope(
        ...     jax.nn.relu, weight_variance=1.5, bias_variance=0.5
        ... )
        >>> round(slope, 6)
        0.75

    Source: Schoenholz et al. 2017, "Deep Information Propagation", section 3, the
    equation of `xi_q`.
    """
    # The slope at q = 0 is a limit; below 1e-8 rounding errors would dominate.
    q = max(
        fixed_point_length(
            activation, weight_variance=weight_variance, bias_variance=bias_variance
        ),
        1e-8,
    )
    with jax.enable_x64(True):
        z = mean_field.NODES
        squares = jnp.square(elementwise(activation, jnp.sqrt(q) * jnp.asarray(z)))
        squares = squares - jnp.square(activation(jnp.zeros(())))
        mean = float(jnp.sum(mean_field.DENSITY * (z**2 - 1) * squares))
    return float(weight_variance * mean / (2 * q))


def _length(
    activation: Activation, c: Any, weight_variance: Any, bias_variance: Any, q: Any
) -> Real:
    """Check the arguments and return q, which is q* for None."""
    check_not_negative(weight_variance=weight_variance, bias_variance=bias_variance)
    check_number("c", c, "a correlation from -1 to 1")
    if not -1.0 <= c <= 1.0:
        raise ValueError(f"`c` is {c}; wanted a correlation from -1 to 1.")
    if q is None:
        q = fixed_point_length(
            activation, weight_variance=weight_variance, bias_variance=bias_variance
        )
    check_not_negative(q=q)
    return q


def _mean_product(
    activation: Activation, c: float, q: float
) -> tuple[jax.Array, jax.Array]:
    """Return `E[a(u_1) a(u_2)]` and `E[a'(u_1) a'(u_2)]`, without derivatives.

    `u = sqrt(q) (sqrt(|c|) s + sqrt(1 - |c|) e)`, where both inputs share s and each
    has its own e; for negative c the second input has -s. By Stein's lemma the mean
    over e is `E[a'(u)] = E[a(u) e] / sqrt(q (1 - |c|))`.
    """
    own_share = max(1.0 - abs(c), NEAR_ONE)
    s, e, weight, own_weight = map(jnp.asarray, _grid())
    apply = functools.partial(elementwise, activation)
    values = apply(jnp.sqrt(q) * (jnp.sqrt(abs(c)) * s + jnp.sqrt(1 - abs(c)) * e))
    mean = jnp.sum(own_weight * values, axis=1)
    u = jnp.sqrt(q) * (jnp.sqrt(1 - own_share) * s + jnp.sqrt(own_share) * e)
    # The value at e = 0 contributes only errors: times e its mean is 0.
    change = apply(u) - apply(jnp.sqrt(q) * jnp.sqrt(1 - own_share) * s)
    slope = jnp.sum(own_weight * e * change, axis=1) / jnp.sqrt(q * own_share)
    sign = 1 if c >= 0 else -1
    product = jnp.sum(weight * mean * mean[::sign])
    return product, jnp.sum(weight * slope * slope[::sign])


@functools.cache
def _grid() -> tuple[np.ndarray, ...]:
    """Return the nodes s and e, and their weights.

    The nodes e of each s are shifted by a multiple of the golden ratio, so that the
    errors at a kink or a jump of the activation cancel. The shift is odd in s, so that
    means of odd functions are exactly zero.
    """
    count = np.abs(NODES) / SPACING + 0.5
    shift = np.sign(NODES) * ((count * (5**0.5 - 1) / 2) % 1 - 0.5) * SPACING
    e = NODES[None, :] + shift[:, None]
    density = lambda z: np.exp(-(z**2) / 2) * SPACING / (2 * np.pi) ** 0.5
    return NODES[:, None], e, density(NODES), density(e)
