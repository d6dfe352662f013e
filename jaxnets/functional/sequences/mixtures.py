"""Mixture density networks for points in the plane and the strokes they are on."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.arguments import as_array
from jaxnets.functional.sequences.sampling import Rate, sample_logits
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.typing import ArrayLike, Key


# Numbers of each component: its logit, two means, two log-deviations, and r.
NUMBERS = 6


def mixture_density_loss(
    outputs: Float[ArrayLike, "*batch outputs"], points: Float[ArrayLike, "*batch 3"]
) -> Float[Array, "*batch"]:
    """Return minus the log-density of `points` under the mixtures in `outputs`.

    A point is `(x_1, x_2, pen)`, usually the offset from the point before and whether
    the pen is lifted after it, 0 or 1. For M components the outputs are, in this order,

        w (M), m_1 (M), m_2 (M), s_1 (M), s_2 (M), r (M), e (1)

    and stand for the mixture of bivariate normal distributions

        p(x) = sum over j of softmax(w)_j N(x; mean m_j, deviations exp(s_j),
        correlation tanh(r_j))

    and for the probability `sigmoid(e)` of a lifted pen. With `u = (x - m) / exp(s)`
    the result is, in nats,

        -log sum over j of softmax(w)_j exp(log cosh(r_j) - s_1j - s_2j - log(2 pi)
        - (u_1j^2 + (u_2j cosh(r_j) - u_1j sinh(r_j))^2) / 2) - log p(pen)

    All factors are computed as logarithms, so the loss and its gradient are finite for
    points far from all components too, as long as the squares of u and of `u exp(|r|)`
    are finite.

    Args:
        outputs: `(*batch, 6 M + 1)`, the outputs of a linear layer.
        points: `(*batch, 3)`.

    Returns:
        The loss of each point, shape `batch`, in float32 or float64.

    Raises:
        TypeError: If an array does not hold floating-point numbers.
        ValueError: If the outputs are not `6 M + 1`, or the shapes do not match.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import mixture_density_loss
        >>> outputs = jnp.zeros(7)  # one standard normal, a pen that is lifted or not
        >>> loss = mixture_density_loss(outputs, jnp.array([3.0, 4.0, 1.0]))
        >>> round(float(loss - jnp.log(2 * jnp.pi) - jnp.log(2)), 4)  # (3^2 + 4^2) / 2
        12.5

    Source: Bishop 1994, "Mixture Density Networks", and Graves 2013, "Generating
    Sequences With Recurrent Neural Networks", section 4.1, equations 15 to 26, where
    the probability of a lifted pen is `sigmoid(-e)`.
    """
    outputs, points = as_array(outputs, "outputs"), as_array(points, "points")
    w, m, s, r, e = _parsed(outputs)
    if points.shape != (*outputs.shape[:-1], 3):
        raise ValueError(
            f"`points` has shape {points.shape}; wanted {(*outputs.shape[:-1], 3)}: "
            "two coordinates and the pen for each row of `outputs`."
        )
    _check_floating("points", points)
    points = points.astype(w.dtype)
    x, pen = points[..., None, :2], points[..., 2]
    u = (x - m) * jnp.exp(-s)
    total, difference = u[..., 0] + u[..., 1], u[..., 1] - u[..., 0]
    # u_2 cosh(r) - u_1 sinh(r), without the difference of two large numbers.
    across = 0.5 * (jnp.exp(r) * difference + jnp.exp(-r) * total)
    log_cosh = jnp.logaddexp(r, -r) - math.log(2)
    log_normal = log_cosh - jnp.sum(s, axis=-1) - math.log(2 * math.pi)
    log_normal -= 0.5 * (u[..., 0] ** 2 + across**2)
    log_p = jax.nn.logsumexp(jax.nn.log_softmax(w) + log_normal, axis=-1)
    return jax.nn.softplus(e) - pen * e - log_p


def sample_mixture(
    outputs: Float[ArrayLike, "*batch outputs"],
    *,
    key: Key | None = None,
    temperature: Rate = 1.0,
) -> Float[Array, "*batch 3"]:
    """Draw a point from each of the mixtures in `outputs`.

    It can be the argument `sample` of `generate`, if the step returns these outputs.

    Args:
        outputs: `(*batch, 6 M + 1)`, as in `mixture_density_loss`.
        key: A JAX random key; it may be None at temperature 0.
        temperature: Divides the logits of the components and of the pen, and multiplies
            the variances. 0 takes the mean of the likeliest component. It may be
            traced.

    Returns:
        The points `(*batch, 3)`: two coordinates, and 1 where the pen is lifted and
        else 0.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the outputs are not `6 M + 1`, or `temperature` is negative.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import sample_mixture
        >>> outputs = jnp.array([0.0, 3.0, 4.0, 0.0, 0.0, 0.0, -9.0])
        >>> sample_mixture(outputs, temperature=0)
        Array([3., 4., 0.], dtype=float32)

    Source: Graves 2013, "Generating Sequences With Recurrent Neural Networks", section
    4.2; the temperature is that of Ha and Eck 2017, "A Neural Representation of Sketch
    Drawings", section 3.3.
    """
    w, m, s, r, e = _parsed(as_array(outputs, "outputs"))
    keys = (None,) * 3 if key is None else tuple(jax.random.split(key, 3))
    chosen = sample_logits(w, key=keys[0], temperature=temperature)
    pen_logits = jnp.stack([jnp.zeros_like(e), e], axis=-1)
    pen = sample_logits(pen_logits, key=keys[1], temperature=temperature)
    m, s = (_component(array, chosen[..., None, None], -2) for array in (m, s))
    r = _component(r, chosen[..., None], -1)
    if keys[2] is None:
        x = m
    else:
        noise = jax.random.normal(keys[2], m.shape, m.dtype)
        one, two = noise[..., 0], noise[..., 1]
        u = jnp.stack([one, jnp.tanh(r) * one + two / jnp.cosh(r)], axis=-1)
        x = m + jnp.sqrt(jnp.asarray(temperature, m.dtype)) * jnp.exp(s) * u
    return jnp.concatenate([x, pen[..., None].astype(x.dtype)], axis=-1)


def _component(array: jax.Array, index: jax.Array, axis: int) -> jax.Array:
    return jnp.take_along_axis(array, index, axis=axis).squeeze(axis)


def _parsed(outputs: jax.Array) -> tuple[jax.Array, ...]:
    """Return w, m, s, r and e: `(..., M)`, twice `(..., M, 2)`, `(..., M)`, `(...)`."""
    _check_floating("outputs", outputs)
    shape: tuple[Any, ...] = outputs.shape
    if not shape or shape[-1] < NUMBERS + 1 or shape[-1] % NUMBERS != 1:
        raise ValueError(
            f"`outputs` has shape {shape}; wanted (*batch, 6 M + 1) for M components, "
            "such as 121 outputs for 20."
        )
    outputs = outputs.astype(accumulation_dtype(outputs.dtype))
    w, m_1, m_2, s_1, s_2, r = jnp.split(outputs[..., :-1], NUMBERS, axis=-1)
    m, s = jnp.stack([m_1, m_2], axis=-1), jnp.stack([s_1, s_2], axis=-1)
    return w, m, s, r, outputs[..., -1]


def _check_floating(name: str, array: jax.Array) -> None:
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"`{name}` has dtype {array.dtype}; wanted floating-point numbers."
        )
