"""Mean-field theory of wide networks: variances of signals, chi_1, depth scale."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.arguments import check_callable, check_number, described


# To a run-time type checker, ints and NumPy's float32 are not `float`.
Real = float | int | np.floating
Activation = Callable[[jax.Array], jax.Array]
# The trapezoidal rule is exact to rounding for a Gaussian times a smooth function.
# Gauss-Hermite quadrature is not: its 128 nodes do not resolve a saturated tanh
# (q = 30), and chi_1 would be wrong by 20 %. The nodes are symmetric about 0, so that
# means of ReLU, with its kink at 0, are exact too.
NODES = (np.arange(2000) - 999.5) / 100
DENSITY = np.exp(-(NODES**2) / 2) / np.sum(np.exp(-(NODES**2) / 2))
# Signals with a larger variance count as exploding.
LARGEST_VARIANCE = 1e12


def length_map(
    activation: Activation, q: Real, *, weight_variance: Real, bias_variance: Real
) -> float:
    """Return the pre-activation variance of the next layer.

    With z standard normal, and numerical integration,

        q' = weight_variance * E[activation(sqrt(q) z)^2] + bias_variance.

    Args:
        activation: Elementwise JAX function.
        q: Pre-activation variance of this layer, at least 0.
        weight_variance: Fan-in times the variance of a weight.
        bias_variance: Variance of a bias.

    Returns:
        The variance q'.

    Raises:
        TypeError: If `activation` is not elementwise, or another argument not a
            number.
        ValueError: If a variance is negative or not finite.

    Example:
        >>> import jax
        >>> from jaxnets.gradflow.theory import length_map
        >>> q = length_map(jax.nn.relu, 3.0, weight_variance=2.0, bias_variance=0.5)
        >>> round(q, 6)
        3.5

    Source: Poole et al. 2016, "Exponential expressivity in deep neural networks
    through transient chaos", equation 3.
    """
    check_not_negative(
        q=q, weight_variance=weight_variance, bias_variance=bias_variance
    )
    with jax.enable_x64(True):
        mean_square = float(_gaussian_mean_square(activation, jnp.float64(q)))
    return float(weight_variance * mean_square + bias_variance)


def fixed_point_length(
    activation: Activation, *, weight_variance: Real, bias_variance: Real
) -> float:
    """Return q*, the pre-activation variance to which deep layers converge.

    Args:
        activation: Elementwise JAX function whose length map has a fixed point. Bounded
            functions always have one; ReLU has one for `weight_variance` below 2.
        weight_variance: Fan-in times the variance of a weight.
        bias_variance: Variance of a bias.

    Returns:
        The variance q*; nearly 0 if signals vanish.

    Raises:
        TypeError: If `activation` is not elementwise, or another argument not a
            number.
        ValueError: If a variance is negative or not finite, or if the iterated length
            map does not converge.

    Example:
        >>> import jax
        >>> from jaxnets.gradflow.theory import fixed_point_length
        >>> q = fixed_point_length(jax.nn.relu, weight_variance=1.0, bias_variance=0.5)
        >>> round(q, 6)
        1.0

    Source: Poole et al. 2016, "Exponential expressivity in deep neural networks
    through transient chaos", equation 3 and figure 1.
    """
    check_not_negative(weight_variance=weight_variance, bias_variance=bias_variance)

    def next_variance(q):
        mean_square = _gaussian_mean_square(activation, q)
        return weight_variance * mean_square + bias_variance

    def not_converged(carry):
        count, before, q = carry
        moving = jnp.abs(q - before) > 1e-12 * jnp.maximum(q, 1e-12)
        return moving & (q < LARGEST_VARIANCE) & (count < 20_000)

    with jax.enable_x64(True):
        start = jnp.float64(1.0)
        _, *lengths = jax.lax.while_loop(
            not_converged,
            lambda carry: (carry[0] + 1, carry[2], next_variance(carry[2])),
            (0, jnp.inf * start, start),
        )
        before, q = map(float, lengths)
    # The tolerance is absolute below 1: some maps converge to zero very slowly.
    if not abs(q - before) <= 1e-6 * max(q, 1.0):
        raise ValueError(
            f"`activation` with `weight_variance` {weight_variance} and "
            f"`bias_variance` {bias_variance} has no fixed point: the variance of its "
            f"layers does not converge (it reached {q:.3g}). Lower `weight_variance`, "
            "or pass the `q` of your layer to `chi_1`."
        )
    return q


def chi_1(
    activation: Activation,
    *,
    weight_variance: Real,
    bias_variance: Real,
    q: Real | None = None,
) -> float:
    """Return the factor by which a squared gradient norm changes in one layer.

    `chi_1 = weight_variance * E[activation'(sqrt(q) z)^2]`. Below 1, in the ordered
    phase, gradients vanish; above 1, in the chaotic phase, they explode. The slope of
    the logarithm of the norm is `log(chi_1) / 2` in nats per layer.

    Args:
        activation: Elementwise JAX function.
        weight_variance: Fan-in times the variance of a weight. Between layers of
            different width use the fan-out, because the gradient passes backwards.
        bias_variance: Variance of a bias.
        q: Pre-activation variance; None means the fixed point q*.

    Returns:
        The factor chi_1.

    Raises:
        TypeError: If `activation` is not elementwise, or another argument not a
            number.
        ValueError: If a variance is negative or not finite, or `q` is None and there is
            no fixed point.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow.theory import chi_1
        >>> round(chi_1(jnp.tanh, weight_variance=0.81, bias_variance=0.05), 3)
        0.653

    Source: Schoenholz et al. 2017, "Deep Information Propagation", sections 3 and 4.
    """
    if q is None:
        q = fixed_point_length(
            activation, weight_variance=weight_variance, bias_variance=bias_variance
        )
    check_not_negative(
        q=q, weight_variance=weight_variance, bias_variance=bias_variance
    )
    # The function is elementwise, so the VJP of ones is the derivative at every node.
    values = lambda x: elementwise(activation, x)
    derivative = lambda x: jax.vjp(values, x)[1](jnp.ones_like(x))[0]
    with jax.enable_x64(True):
        mean_square = float(_gaussian_mean_square(derivative, jnp.float64(q)))
    return float(weight_variance * mean_square)


def depth_scale(chi: Real) -> float:
    """Return in how many layers a squared gradient norm changes by a factor of e.

    `xi = 1 / |log chi|`. Schoenholz et al. found that networks of up to about 6 xi
    layers can be trained. In the chaotic phase (chi > 1) their rule uses the depth
    scale of `correlation_slope` at c* instead.

    Args:
        chi: The factor of one layer, such as `chi_1`.

    Returns:
        A number of layers; infinity at the edge of chaos, where chi is 1.

    Raises:
        TypeError: If an argument is not a number.
        ValueError: If `chi` is negative or not finite.

    Example:
        >>> from jaxnets.gradflow.theory import depth_scale
        >>> round(depth_scale(0.653), 2)
        2.35

    Source: Schoenholz et al. 2017, "Deep Information Propagation", sections 3 and 5.
    """
    check_not_negative(chi=chi)
    with np.errstate(divide="ignore"):
        return float(1.0 / np.abs(np.log(chi)))


def _gaussian_mean_square(activation: Activation, q: jax.Array) -> jax.Array:
    """Return `E[activation(sqrt(q) z)^2]` for z standard normal, in float64."""
    values = elementwise(activation, jnp.sqrt(q) * jnp.asarray(NODES))
    return jnp.sum(jnp.asarray(DENSITY) * jnp.square(values))


def elementwise(activation: Any, x: jax.Array) -> jax.Array:
    """Return `activation(x)`; raise an error unless it is elementwise."""
    wanted = "an elementwise function of JAX arrays, such as `jnp.tanh`"
    check_callable("activation", activation, wanted)
    y = activation(x)
    if not hasattr(y, "dtype") or not jnp.issubdtype(y.dtype, jnp.floating):
        raise TypeError(
            f"`activation` returned a value that is {described(y)}; wanted {wanted}, "
            "which returns floating-point numbers."
        )
    if y.shape != x.shape:
        raise ValueError(
            f"`activation` returned shape {y.shape} for an argument of shape "
            f"{x.shape}; wanted {wanted}."
        )
    return y


def check_not_negative(**arguments: Any) -> None:
    """Raise an error for an argument that is not a finite number of at least 0."""
    wanted = (
        "a finite number of at least 0. Variances of weights are multiplied by the "
        "fan-in, such as 2.0 for He's weights"
    )
    for name, value in arguments.items():
        check_number(name, value, wanted)
        if not 0.0 <= value < np.inf:
            raise ValueError(f"`{name}` is {value}; wanted {wanted}.")


def check_finite(name: str, value: Any) -> None:
    """Raise an error unless `value` is a finite number."""
    check_number(name, value, "a finite number")
    if not np.isfinite(value):
        raise ValueError(f"`{name}` is {value}; wanted a finite number.")
