"""Mean-field theory of two inputs: how their correlation changes by layer."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.gradflow.theory import mean_field
from jaxnets.gradflow.theory.mean_field import (
    Activation,
    Real,
    check_not_negative,
    fixed_point_length,
    length_map,
)


# The trapezoidal rule again, in two dimensions and coarser: still exact to rounding for
# smooth functions.
SPACING = 0.02
NODES = (np.arange(900) - 449.5) * SPACING
# A correlation this near to 1 is taken for 1.
NEAR_ONE = 1e-4


def correlation_map(
    activation: Activation,
    c: Real,
    *,
    weight_variance: Real,
    bias_variance: Real,
    q: Real | None = None,
) -> float:
    """Return the correlation in the next layer of two inputs with correlation c.

    Two inputs of equal length have pre-activations `u_1, u_2`, jointly Gaussian with
    variance q and covariance `c q`, and in the next layer

        c' = (weight_variance * E[activation(u_1) activation(u_2)] + bias_variance) / q'

    with q' from `length_map`. c = 1 is always a fixed point. Correlations count the
    mean of the activations too: they are cosines.

    Args:
        activation: Elementwise JAX function.
        c: Correlation of the pre-activations, -1 to 1.
        weight_variance: Fan-in times the variance of a weight.
        bias_variance: Variance of a bias.
        q: Pre-activation variance; None takes the fixed point q*.

    Returns:
        The correlation c'; NaN where the next layer is exactly zero.

    Raises:
        ValueError: If a variance is negative, c is not in -1 to 1, or there is no fixed
            point.

    Example:
        >>> import jax
        >>> c = correlation_map(  # Cho and Saul's arc-cosine kernel of degree 1
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

    `weight_variance * E[activation'(u_1) activation'(u_2)]`, computed without a
    derivative, so that it is right for a step too: there the map has a finite slope
    below c = 1 and an infinite one at it. Its deviation from the fixed point c* falls
    by this factor in each layer, so `depth_scale(slope at c*)` is the depth scale
    `xi_c`, to which two inputs can be told apart. In the ordered phase c* = 1 and the
    slope there is `chi_1`, the factor of the squared gradient.

    Args:
        activation: Elementwise JAX function.
        c: Correlation of the pre-activations, -1 to 1; from 0.9999 the slope at 0.9999.
        weight_variance: Fan-in times the variance of a weight.
        bias_variance: Variance of a bias.
        q: Pre-activation variance; None takes the fixed point q*.

    Returns:
        The slope.

    Raises:
        ValueError: If a variance is negative, c is not in -1 to 1, or there is no fixed
            point.

    Example:
        >>> import jax
        >>> slope = correlation_slope(
        ...     jax.nn.relu, 0.0, weight_variance=2.0, bias_variance=0.0, q=1.0
        ... )
        >>> round(slope, 4)
        0.5

    Source: Schoenholz et al. 2017, "Deep Information Propagation", section 3.
    """
    # At q = 0 the slope is a limit; it is that of a length of nearly nothing.
    q = max(_length(activation, c, weight_variance, bias_variance, q), 1e-12)
    with jax.enable_x64(True):
        product = float(_mean_product(activation, float(c), float(q))[1])
    return float(weight_variance * product)


def fixed_point_correlation(
    activation: Activation, *, weight_variance: Real, bias_variance: Real
) -> float:
    """Return c*, the correlation that deep layers settle at.

    1 in the ordered phase, where deep layers forget which input they saw; below 1 in
    the chaotic phase, where they also forget how alike two inputs were. The map is
    convex on 0 to 1, so there is one stable fixed point there, and Newton's method
    started at 0 climbs to it.

    Args:
        activation: Elementwise JAX function.
        weight_variance: Fan-in times the variance of a weight.
        bias_variance: Variance of a bias.

    Returns:
        The correlation c*, to about 1e-4 for functions with a jump and where it is near
        1.

    Raises:
        ValueError: If a variance is negative or there is no fixed point of lengths.

    Example:
        >>> import jax.numpy as jnp
        >>> round(fixed_point_correlation(
        ...     jnp.tanh, weight_variance=0.81, bias_variance=0.05), 3)
        1.0
        >>> round(fixed_point_correlation(
        ...     jnp.sign, weight_variance=1.0, bias_variance=0.0), 3)
        0.0

    Source: Poole et al. 2016, section 3 and figure 2.
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

    `weight_variance * E[activation(u)^2 (z^2 - 1)] / (2 q)` with `u = sqrt(q) z`, which
    needs no derivative. A deviation of the length from q* falls by this factor in each
    layer, so `depth_scale` of it is the depth scale `xi_q` of lengths.

    Args:
        activation: Elementwise JAX function.
        weight_variance: Fan-in times the variance of a weight.
        bias_variance: Variance of a bias.

    Returns:
        The slope; 1 or more where q* is not stable.

    Raises:
        ValueError: If a variance is negative or there is no fixed point of lengths.

    Example:
        >>> import jax
        >>> slope = length_slope(
        ...     jax.nn.relu, weight_variance=1.5, bias_variance=0.5
        ... )
        >>> round(slope, 6)
        0.75

    Source: Schoenholz et al. 2017, section 3, the equation of `xi_q`.
    """
    # At q = 0 the slope is a limit; below 1e-8 rounding would eat it.
    q = max(
        fixed_point_length(
            activation, weight_variance=weight_variance, bias_variance=bias_variance
        ),
        1e-8,
    )
    with jax.enable_x64(True):
        z = mean_field.NODES
        squares = jnp.square(activation(jnp.sqrt(q) * jnp.asarray(z)))
        squares = squares - jnp.square(activation(jnp.zeros(())))
        mean = float(jnp.sum(mean_field.DENSITY * (z**2 - 1) * squares))
    return float(weight_variance * mean / (2 * q))


def _length(
    activation: Activation,
    c: Real,
    weight_variance: Real,
    bias_variance: Real,
    q: Real | None,
) -> Real:
    """Check the arguments; return q, or q* for None."""
    check_not_negative(weight_variance=weight_variance, bias_variance=bias_variance)
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
    """`E[a(u_1) a(u_2)]` and `E[a'(u_1) a'(u_2)]`, both without a derivative.

    `u = sqrt(q) (sqrt(|c|) s + sqrt(1 - |c|) e)` with one s for both inputs and an e
    for each; for a negative c the second has -s. Over e alone, by Stein's lemma,
    `E[a'(u)] = E[a(u) e] / sqrt(q (1 - |c|))`.
    """
    apart = max(1.0 - abs(c), NEAR_ONE)
    s, e, weight, own_weight = map(jnp.asarray, _grid())
    values = activation(jnp.sqrt(q) * (jnp.sqrt(abs(c)) * s + jnp.sqrt(1 - abs(c)) * e))
    mean = jnp.sum(own_weight * values, axis=1)
    shifted = activation(jnp.sqrt(q) * (jnp.sqrt(1 - apart) * s + jnp.sqrt(apart) * e))
    middle = activation(jnp.sqrt(q) * jnp.sqrt(1 - apart) * s)
    slope = jnp.sum(own_weight * e * (shifted - middle), axis=1) / jnp.sqrt(q * apart)
    other = 1 if c >= 0 else -1
    product = jnp.sum(weight * mean * mean[::other])
    return product, jnp.sum(weight * slope * slope[::other])


@functools.cache
def _grid() -> tuple[np.ndarray, ...]:
    """Nodes s and e, and their weights.

    Each s has its own shift of e, by multiples of the golden ratio, so that the errors
    at a kink or a jump of the activation cancel; odd in s, to keep odd functions odd.
    """
    count = np.abs(NODES) / SPACING + 0.5
    shift = np.sign(NODES) * ((count * (5**0.5 - 1) / 2) % 1 - 0.5) * SPACING
    e = NODES[None, :] + shift[:, None]
    density = lambda z: np.exp(-(z**2) / 2) * SPACING / (2 * np.pi) ** 0.5
    return NODES[:, None], e, density(NODES), density(e)
