"""Activations that are transformed for plain networks of a given depth."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxnets.arguments import as_array, as_count, check_callable, check_number
from jaxnets.typing import ArrayLike


# The trapezoidal rule is exact to rounding for a Gaussian times a smooth function.
_NODES = np.linspace(-10.0, 10.0, 2001)
_DENSITY = np.exp(-(_NODES**2) / 2) / np.sum(np.exp(-(_NODES**2) / 2))
_SHIFTS = np.linspace(-5.0, 5.0, 1001)
_MOST_STEPS = 50


@dataclasses.dataclass(frozen=True)
class ShapedActivation:
    """The function `c (f(a x + b) + d)`, which `dks` and `tat_leaky_relu` make.

    Args:
        activation: f, an elementwise function.
        input_scale: a.
        input_shift: b.
        output_scale: c.
        output_shift: d.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import ShapedActivation
        >>> ShapedActivation(jnp.tanh, output_shift=1.0)(jnp.zeros(2))
        Array([1., 1.], dtype=float32)
    """

    activation: Callable[[jax.Array], jax.Array]
    input_scale: float = 1.0
    input_shift: float = 0.0
    output_scale: float = 1.0
    output_shift: float = 0.0

    def __call__(self, x: Float[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
        """Apply the function to every element of `x`."""
        x = as_array(x, "x")
        inner = self.activation(self.input_scale * x + self.input_shift)
        return self.output_scale * (inner + self.output_shift)


@dataclasses.dataclass(frozen=True)
class _LeakyReLU:
    """A leaky ReLU, compared by its slope."""

    negative_slope: float

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.leaky_relu(x, self.negative_slope)


def dks(
    activation: Callable[[jax.Array], jax.Array], depth: int, *, slope: float = 1.5
) -> ShapedActivation:
    """Return a smooth activation, transformed for a plain network (DKS).

    With z standard normal, `g(x) = c (f(a x + b) + d)` is to satisfy

        E[g(z)] = 0,    E[g(z)^2] = 1,    E[g(z) g'(z) z] = 1,
        E[g'(z)^2] = slope^(1 / depth).

    So a layer keeps features of variance 1, and inputs at right angles stay so; a small
    change of the variance neither grows nor shrinks; and over `depth` layers two inputs
    that are nearly equal move apart by no more than the factor `slope` in the squared
    distance. The first two equations give d and c, and Newton's method solves the other
    two for a and b. It begins at their solution for small a,

        f''' f' + f''^2 / 2 = 0 at b,    a = |2 f' / f''| sqrt((slope^(1/depth) - 1)/2).

    Kernels are `delta_orthogonal_init()` and biases zero, and the input of the first
    layer has a mean square of 1 at each position. The equations are for wide layers: in
    a network of C channels the logarithm of the mean square scatters by the order of
    `sqrt(depth / C)`.

    Args:
        activation: f, a smooth elementwise function, such as tanh or softplus.
        depth: Number of layers with this activation, one after the other.
        slope: The slope of the network's C map at 1, above 1.

    Returns:
        g.

    Raises:
        TypeError: If `activation` is not a function, or another argument not a number.
        ValueError: If `depth` is below 1, `slope` is not above 1, or the equations have
            no solution, as for ReLU, which is not smooth: see `tat_leaky_relu`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import dks
        >>> g = dks(jnp.tanh, depth=50)
        >>> round(g.input_scale, 3), round(g.input_shift, 3)
        (0.128, 0.571)

    Source: Martens et al. 2021, "Rapid training of deep neural networks without skip
    connections or normalization layers using Deep Kernel Shaping" (arXiv 2110.01765).
    """
    check_callable("activation", activation, "an elementwise function: `jnp.tanh`")
    depth = as_count(depth, "depth")
    check_number("slope", slope, "a number above 1, such as 1.5")
    if not slope > 1:
        raise ValueError(f"`slope` is {slope}; wanted a number above 1, such as 1.5.")
    with jax.enable_x64(True):
        local = slope ** (1.0 / depth)
        for start in _starts(activation, local):
            found = _solve(activation, local, start)
            if found is not None:
                scale, shift = found
                inner = np.asarray(activation(jnp.asarray(scale * _NODES + shift)))
                mean = float(_DENSITY @ inner)
                deviation = float(_DENSITY @ (inner - mean) ** 2) ** 0.5
                return ShapedActivation(activation, scale, shift, 1 / deviation, -mean)
    raise ValueError(
        f"`activation` has no shape for `depth` {depth} and `slope` {slope}; wanted a "
        "smooth function with a curvature, such as tanh. For ReLU use `tat_leaky_relu`."
    )


def tat_leaky_relu(depth: int, *, correlation: float = 0.9) -> ShapedActivation:
    """Return the leaky ReLU that suits a plain network of this depth (TAT).

    `g(x) = sqrt(2 / (1 + s^2)) leaky_relu(x, s)` keeps a mean square of 1. Two inputs
    with correlation c leave a layer with

        C(c) = c + (1 - s)^2 / (pi (1 + s^2)) (sqrt(1 - c^2) - c arccos(c)),

    and s is such that `depth` layers raise a correlation of 0 to `correlation`. A ReLU,
    s = 0, would raise it to almost 1 in a deep network, and all inputs would look the
    same. In a network so shallow that ReLU stays below, s is 0.

    Kernels and biases are those for `dks`.

    Args:
        depth: Number of layers with this activation, one after the other.
        correlation: The correlation after the last layer, between 0 and 1.

    Returns:
        g.

    Raises:
        TypeError: If an argument is not a number.
        ValueError: If `depth` is below 1 or `correlation` not between 0 and 1.

    Example:
        >>> from jaxnets.functional import tat_leaky_relu
        >>> round(tat_leaky_relu(50).activation.negative_slope, 3)
        0.431

    Source: Zhang, Botev and Martens 2022, "Deep Learning without Shortcuts: Shaping the
    Kernel with Tailored Rectifiers", section 4.2.
    """
    depth = as_count(depth, "depth")
    check_number("correlation", correlation, "a number between 0 and 1, such as 0.9")
    if not 0 < correlation < 1:
        raise ValueError(
            f"`correlation` is {correlation}; wanted a number between 0 and 1."
        )

    def reached(slope: float) -> float:
        weight, c = (1 - slope) ** 2 / (np.pi * (1 + slope**2)), 0.0
        for _ in range(depth):
            c = min(c + weight * (np.sqrt(1 - c * c) - c * np.arccos(c)), 1.0)
        return c

    low, high = 0.0, 1.0
    if reached(low) > correlation:
        while high - low > 1e-12:
            middle = (low + high) / 2
            low, high = (
                (middle, high) if reached(middle) > correlation else (low, middle)
            )
    gain = (2 / (1 + low**2)) ** 0.5
    return ShapedActivation(_LeakyReLU(low), output_scale=gain)


def _starts(activation, local: float) -> list[tuple[float, float]]:
    """Return the scales and shifts that solve the equations for small scales."""
    one = lambda x: jnp.sum(activation(x[None]))
    derivatives = [jax.grad(one)]
    for _ in range(2):
        derivatives.append(jax.grad(derivatives[-1]))
    shifts = jnp.asarray(_SHIFTS)
    f1, f2, f3 = (np.asarray(jax.vmap(f)(shifts)) for f in derivatives)
    excess = f3 * f1 + f2 * f2 / 2
    change = np.flatnonzero(excess[:-1] * excess[1:] < 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = np.abs(2 * f1 / f2) * np.sqrt((local - 1) / 2)
    found = [(float(scales[i]), float(_SHIFTS[i])) for i in change]
    return sorted((s for s in found if np.isfinite(s[0])), key=lambda s: abs(s[1]))


def _solve(activation, local: float, start: tuple[float, float]):
    """Return the scale and the shift by Newton's method, or None without success."""
    z, density = jnp.asarray(_NODES), jnp.asarray(_DENSITY)

    @jax.jit
    def excess(p):
        at = p[0] * z + p[1]
        inner, slope = jax.jvp(activation, (at,), (jnp.broadcast_to(p[0], at.shape),))
        inner = inner - density @ inner
        variance = density @ inner**2
        of_lengths = density @ (inner * slope * z) / variance
        of_angles = density @ slope**2 / variance
        # Relative to what is asked for, which is small in a deep network.
        return jnp.stack([of_lengths - 1, of_angles - local]) / (local - 1)

    jacobian = jax.jit(jax.jacfwd(excess))
    p = jnp.asarray(start)
    for _ in range(_MOST_STEPS):
        p = p - jnp.linalg.solve(jacobian(p), excess(p))
    good = bool(jnp.all(jnp.abs(excess(p)) < 1e-6)) and float(p[0]) > 0
    return (float(p[0]), float(p[1])) if good else None
