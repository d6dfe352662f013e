"""Activations that are transformed for plain networks of a given depth."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

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
    """The function `g(x) = c (f(a x + b) + d)`, which `dks` and `tat` return.

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

    With z standard normal, `g(x) = c (f(a x + b) + d)` satisfies

        E[g(z)] = 0,    E[g(z)^2] = 1,    E[g(z) g'(z) z] = 1,
        E[g'(z)^2] = slope^(1 / depth).

    So every layer keeps the variance of its features at 1, and orthogonal inputs stay
    orthogonal. A small change of the variance neither grows nor shrinks. The squared
    distance of two nearly equal inputs grows by no more than the factor `slope` over
    `depth` layers. The first two equations give d and c, and Newton's method solves the
    other two for a and b. It begins at their solution for small a,

        f''' f' + f''^2 / 2 = 0 at b,    a = |2 f' / f''| sqrt((slope^(1/depth) - 1)/2).

    Kernels are `delta_orthogonal_init()` and biases zero, and the input of the first
    layer has a mean square of 1 at each position. The equations are for wide layers: in
    a network of C channels the logarithm of the mean square has a standard deviation of
    the order of `sqrt(depth / C)`.

    Args:
        activation: f, a smooth elementwise function, such as tanh or softplus.
        depth: Number of layers with this activation, one after the other.
        slope: The slope at 1 of the network's C map, which maps the correlation of two
            inputs to that of their outputs; above 1.

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
    depth = _checked_depth(activation, depth)
    check_number("slope", slope, "a number above 1, such as 1.5")
    if not slope > 1:
        raise ValueError(f"`slope` is {slope}; wanted a number above 1, such as 1.5.")
    local = slope ** (1.0 / depth)

    def excess(m: _Moments) -> list[jax.Array]:
        return [m.stretch / m.variance - 1, m.slope / m.variance - local]

    def small(f1, f2, f3):
        excess = f3 * f1 + f2 * f2 / 2
        return excess, np.abs(2 * f1 / f2) * np.sqrt((local - 1) / 2)

    if found := _solution(activation, excess, small, local - 1):
        scale, shift, m = found
        return ShapedActivation(activation, scale, shift, m.variance**-0.5, -m.mean)
    raise _no_shape(depth, slope=slope)


def tat(
    activation: Callable[[jax.Array], jax.Array],
    depth: int,
    *,
    curvature: float = 0.3,
) -> ShapedActivation:
    """Return a smooth activation, transformed for a plain network of this depth (TAT).

    With z standard normal, `g(x) = c (f(a x + b) + d)` satisfies

        E[g(z)^2] = 1,    E[g(z) g'(z) z] = 1,    E[g'(z)^2] = 1,
        E[g''(z)^2] = curvature / depth.

    So every layer keeps the mean square of its features at 1, and a small change of it
    neither grows nor shrinks. Two nearly equal inputs keep their distance to first
    order. The map of their correlation over all layers has the second derivative
    `curvature`, which says how nonlinear the network is. The third and the first
    equation give c and d, and Newton's method solves the other two for a and b. It
    begins at their solution for small a,

        f''' f' + s f'' |f''| / sqrt(2) = 0 at b,
        a = |f' / f''| sqrt(curvature / depth)

    for either sign s of `E[g]`.

    Unlike with `dks`, two inputs at right angles become somewhat alike. Kernels and
    biases are those for `dks`.

    Args:
        activation: f, a smooth elementwise function, such as tanh or softplus.
        depth: Number of layers with this activation, one after the other.
        curvature: The second derivative at 1 of the network's C map, which maps the
            correlation of two inputs to that of their outputs; above 0.

    Returns:
        g.

    Raises:
        TypeError: If `activation` is not a function, or another argument not a number.
        ValueError: If `depth` is below 1, `curvature` is not above 0, or the equations
            have no solution, as for ReLU, which is not smooth: see `tat_leaky_relu`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import tat
        >>> g = tat(jnp.tanh, depth=50)
        >>> round(g.input_scale, 3), round(g.input_shift, 3)
        (0.082, -0.526)

    Source: Zhang, Botev and Martens 2022, "Deep Learning without Shortcuts: Shaping the
    Kernel with Tailored Rectifiers", the method for smooth activations.
    """
    depth = _checked_depth(activation, depth)
    check_number("curvature", curvature, "a number above 0, such as 0.3")
    if not curvature > 0:
        raise ValueError(
            f"`curvature` is {curvature}; wanted a number above 0, such as 0.3."
        )
    local = curvature / depth
    for sign in (1, -1):
        # The mean of f + d, for which E[g^2] and E[g'^2] are equal.
        mean = lambda m, sign=sign: sign * (m.slope - m.variance) ** 0.5

        def excess(m: _Moments, mean=mean) -> list[jax.Array]:
            stretch = m.stretch + mean(m) * m.mean_stretch
            return [stretch / m.slope - 1, m.curvature / m.slope - local]

        def small(f1, f2, f3, sign=sign):
            excess = f3 * f1 + sign * f2 * np.abs(f2) / np.sqrt(2)
            return excess, np.abs(f1 / f2) * np.sqrt(local)

        if found := _solution(activation, excess, small, local):
            scale, shift, m = found
            return ShapedActivation(
                activation, scale, shift, m.slope**-0.5, mean(m) - m.mean
            )
    raise _no_shape(depth, curvature=curvature)


def tat_leaky_relu(depth: int, *, correlation: float = 0.9) -> ShapedActivation:
    """Return a leaky ReLU with the slope for a plain network of this depth (TAT).

    `g(x) = sqrt(2 / (1 + s^2)) leaky_relu(x, s)` keeps a mean square of 1. Two inputs
    with correlation c leave a layer with

        C(c) = c + (1 - s)^2 / (pi (1 + s^2)) (sqrt(1 - c^2) - c arccos(c)),

    and s is such that `depth` layers raise a correlation of 0 to `correlation`. A ReLU,
    s = 0, would raise it to almost 1 in a deep network, and all inputs would look the
    same. In a shallow network, where even ReLU stays below `correlation`, s is 0.

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


def _checked_depth(activation, depth) -> int:
    check_callable("activation", activation, "an elementwise function: `jnp.tanh`")
    return as_count(depth, "depth")


def _no_shape(depth: int, **target: float) -> ValueError:
    [(name, value)] = target.items()
    return ValueError(
        f"`activation` has no shape for `depth` {depth} and `{name}` {value}; wanted a "
        "smooth function with a curvature, such as tanh. For ReLU use `tat_leaky_relu`."
    )


class _Moments(NamedTuple):
    """Expectations of h(z) = f(a z + b) for a standard normal z.

    Attributes:
        mean: E[h].
        variance: The variance of h.
        slope: E[h'^2].
        curvature: E[h''^2].
        stretch: E[(h - E[h]) h' z].
        mean_stretch: E[h' z].
    """

    mean: Any
    variance: Any
    slope: Any
    curvature: Any
    stretch: Any
    mean_stretch: Any


def _moments(activation, p: jax.Array) -> _Moments:
    """Return the moments for `p = (a, b)`."""
    z, density = jnp.asarray(_NODES), jnp.asarray(_DENSITY)
    h = lambda z: activation(p[0] * z + p[1])
    derivative = lambda f: lambda z: jax.jvp(f, (z,), (jnp.ones_like(z),))[1]
    inner, slope, curve = h(z), derivative(h)(z), derivative(derivative(h))(z)
    mean = density @ inner
    inner = inner - mean
    return _Moments(
        mean,
        density @ inner**2,
        density @ slope**2,
        density @ curve**2,
        density @ (inner * slope * z),
        density @ (slope * z),
    )


def _solution(activation, excess, small, unit: float):
    """Return a, b and the moments that solve two equations, or None.

    Args:
        activation: f.
        excess: `excess(moments)` is what the two have too much.
        small: `small(f', f'', f''')` is what they have too much at b in the limit of
            small a, and the solution for a.
        unit: Errors are relative to it; it is small in a deep network.
    """
    with jax.enable_x64(True):
        scaled = lambda p: jnp.stack(excess(_moments(activation, p))) / unit
        scaled = jax.jit(scaled)
        jacobian = jax.jit(jax.jacfwd(scaled))
        for start in _starts(activation, small):
            p = jnp.asarray(start)
            for _ in range(_MOST_STEPS):
                p = p - jnp.linalg.solve(jacobian(p), scaled(p))
            if bool(jnp.all(jnp.abs(scaled(p)) < 1e-6)) and float(p[0]) > 0:
                moments = map(float, _moments(activation, p))
                return float(p[0]), float(p[1]), _Moments(*moments)
    return None


def _starts(activation, small) -> list[tuple[float, float]]:
    """Return the scales and shifts that solve the equations for small scales."""
    one = lambda x: jnp.sum(activation(x[None]))
    derivatives = [jax.grad(one)]
    for _ in range(2):
        derivatives.append(jax.grad(derivatives[-1]))
    shifts = jnp.asarray(_SHIFTS)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess, scales = small(*(np.asarray(jax.vmap(f)(shifts)) for f in derivatives))
    change = np.flatnonzero(excess[:-1] * excess[1:] < 0)
    found = [(float(scales[i]), float(_SHIFTS[i])) for i in change]
    return sorted((s for s in found if np.isfinite(s[0])), key=lambda s: abs(s[1]))
