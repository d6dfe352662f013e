"""Gradient norms over time in gated networks, predicted from the gates' values.

This is the dynamic mean-field theory of the backward pass. Backwards in time, the
gradient e of a unit is multiplied by a gate, and the gradient eta that comes through
the recurrent weights is added:

    e_{t-1} = keep_t e_t + inject_{t-1} eta_{t-1}.

eta is a sum over many units with random weights, so it is Gaussian. The weights are the
same at every step, so eta at two times is correlated, and the covariance

    S(t-1, u-1) = weight_variance * E[sum_k through_k(t) through_k(u) e_t e_u]
                + weight_variance * E[across(t) across(u)] S(t, u)

is computed for all pairs of times. Layers have independent weights, for which t = u is
enough. Here that would leave out paths that pass the weights at different times, and
the predicted gradient would decay too fast, by 0.1 per step or more.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxnets.arguments import described
from jaxnets.gradflow.theory.mean_field import Real, check_not_negative
from jaxnets.typing import ArrayLike


def lstm_gradient_profile(
    i: ArrayLike,
    f: ArrayLike,
    g: ArrayLike,
    o: ArrayLike,
    c: ArrayLike,
    *,
    weight_variance: Real,
) -> np.ndarray:
    r"""Return the log of the norm of `dL/dc_t` at every step of an LSTM.

    The prediction needs only the gates' values in a forward pass. The loss is a
    function of the last cell state. The gradient of a cell follows

        e_{t-1} = f_t e_t + o_{t-1} tanh'(c_{t-1}) eta_{t-1},

    where eta is the Gaussian gradient through the recurrent weights. Its covariance at
    all pairs of times comes from the derivatives by the gates' pre-activations,

        c_{t-1} f (1 - f),  g i (1 - i),  i (1 - g^2)    of the cell, by f, i and g,
        tanh(c) o (1 - o)                                of the output, by o.

    Without recurrent weights the result is the direct path, the product of the forget
    gates. The rest explains why the gradient of an LSTM with a forget bias of 4 grows
    although its gates are below 1. Compare a measured slope with the slope of the
    profile away from both ends.

    The cost is `T^2 H` operations.

    Args:
        i: `(T, *batch, H)`, input gate, values between 0 and 1, time first.
        f: Forget gate, of the same shape.
        g: Candidate after tanh, of the same shape.
        o: Output gate, of the same shape.
        c: Cell state after each step, of the same shape.
        weight_variance: Number of hidden units times the variance of a weight of
            `w_hh`; if the block of each gate is orthogonal, the square of its gain.

    Returns:
        `(T,)` nats in float64, relative to the last step. The gradient includes that
        from the output of the same step, as for a tap on c.

    Raises:
        TypeError: If an argument does not consist of real numbers.
        ValueError: If the shapes differ, there are fewer than two steps or no unit, a
            gate or candidate has values that no sigmoid or tanh has, or
            `weight_variance` is negative.

    Example:
        >>> import numpy as np
        >>> from jaxnets.gradflow.theory import lstm_gradient_profile
        >>> half, zero = np.full((3, 5), 0.5), np.zeros((3, 5))
        >>> lstm_gradient_profile(
        ...     half, half, zero, half, zero, weight_variance=0.0
        ... ).round(4)
        array([-1.3863, -0.6931,  0.    ])

    Source: Gilboa et al. 2019, "Dynamical Isometry and a Mean Field Theory of LSTMs and
    GRUs", for the factors; Sompolinsky, Crisanti and Sommers 1988, "Chaos in Random
    Neural Networks", for the pairs of times. Unlike there, the gates' values are
    measured; they are assumed independent of the weights that the gradient passes.
    """
    check_not_negative(weight_variance=weight_variance)
    i, f, g, o, c = _series(i=i, f=f, g=g, o=o, c=c)
    _check_range(0.0, "a sigmoid", i=i, f=f, o=o)
    _check_range(-1.0, "a tanh", g=g)
    before = np.concatenate([np.zeros_like(c[:1]), c[:-1]])
    tanh_c = np.tanh(c)
    through = [before * f * (1 - f), g * i * (1 - i), i * (1 - g**2)]
    return _profile(
        keep=f,
        inject=o * (1 - tanh_c**2),
        through=np.sqrt(weight_variance) * np.stack(through),
        across=np.sqrt(weight_variance) * tanh_c * o * (1 - o),
    )


def gru_gradient_profile(
    r: ArrayLike, z: ArrayLike, n: ArrayLike, h: ArrayLike, *, weight_variance: Real
) -> np.ndarray:
    r"""Return the log of the norm of `dL/dh_t` at every step of a GRU.

    The theory is that of `lstm_gradient_profile`, for `h' = (1 - z) n + z h` with
    `reset_after=True`, `n = tanh(.. + r m)` and `m = h W_hn`. The gradient follows

        e_{t-1} = z_t e_t + eta_{t-1},

    and the covariance of eta comes from the derivatives by z, n and r,

        (h_{t-1} - n) z (1 - z),  (1 - z) (1 - n^2) r,  (1 - z) (1 - n^2) r (1 - r) m,

    where `m^2` is replaced by its mean, `weight_variance * E[h^2]`.

    Args:
        r: `(T, *batch, H)`, reset gate, values between 0 and 1, time first.
        z: Update gate, of the same shape; it multiplies the old state.
        n: Candidate after tanh, of the same shape.
        h: State after each step, of the same shape.
        weight_variance: Number of hidden units times the variance of a weight of
            `w_hh`.

    Returns:
        `(T,)` nats in float64, relative to the last step.

    Raises:
        TypeError: If an argument does not consist of real numbers.
        ValueError: If the shapes differ, there are fewer than two steps or no unit, a
            gate or candidate has values that no sigmoid or tanh has, or
            `weight_variance` is negative.

    Example:
        Far from the last step, gates that are constant at 1/2 have the slope
        `log(1/2 + gain / 4)`:

        >>> import numpy as np
        >>> from jaxnets.gradflow.theory import gru_gradient_profile
        >>> half, zero = np.full((60, 5), 0.5), np.zeros((60, 5))
        >>> line = gru_gradient_profile(half, half, zero, zero, weight_variance=1.0)
        >>> round(float(line[0] - line[1]), 2), round(float(np.log(0.75)), 2)
        (-0.29, -0.29)

    Source: as for `lstm_gradient_profile`. The bias `b_hn` is not part of m, since its
    initial value is zero.
    """
    check_not_negative(weight_variance=weight_variance)
    r, z, n, h = _series(r=r, z=z, n=n, h=h)
    _check_range(0.0, "a sigmoid", r=r, z=z)
    _check_range(-1.0, "a tanh", n=n)
    before = np.concatenate([np.zeros_like(h[:1]), h[:-1]])
    m = np.sqrt(weight_variance * np.mean(np.square(before), axis=1, keepdims=True))
    candidate = (1 - z) * (1 - n**2)
    through = [(before - n) * z * (1 - z), candidate * r, candidate * r * (1 - r) * m]
    return _profile(
        keep=z,
        inject=np.ones_like(z),
        through=np.sqrt(weight_variance) * np.stack(through),
        across=np.zeros_like(z),
    )


def _profile(
    keep: np.ndarray, inject: np.ndarray, through: np.ndarray, across: np.ndarray
) -> np.ndarray:
    """Return the log of the gradient norm at every step, relative to the last.

    The covariances of e and eta are computed backwards in time, one row of pairs of
    times per step. Shapes are (T, units), for `through` (K, T, units). Arrays of time t
    are divided by the root mean square of `e_t`, so that they stay in range.
    """
    steps, units = keep.shape
    covariance = np.zeros((steps, units))  # E[e_t e_u] of each unit, for one t
    covariance[-1] = 1.0
    noise = np.zeros(steps)  # S(t, u), for the same t
    factors = np.ones(steps)  # root mean square of e_u over that of e_{u+1}
    for t in range(steps - 2, -1, -1):
        later = slice(t + 1, None)
        pairs = np.einsum("kn,ktn->tn", through[:, t + 1], through[:, later])
        arriving = np.mean(pairs * covariance[later], axis=1)
        arriving += np.mean(across[t + 1] * across[later], axis=1) * noise[later]
        noise = np.zeros(steps)
        noise[t:-1] = arriving / factors[t:-1]
        # For u from the last step down to t: E[e_u eta_t], and the next row.
        shared = np.zeros(units)
        row = np.zeros((steps, units))
        row[-1] = keep[t + 1] * covariance[-1]
        for u in range(steps - 2, t - 1, -1):
            shared = keep[u + 1] * shared / factors[u] + inject[u] * noise[u]
            previous = covariance[u] if u > t else row[t + 1]
            row[u] = keep[t + 1] * previous + inject[t] * shared
        rms = np.sqrt(np.mean(row[t]))
        if rms == 0.0:
            factors[: t + 1] = 0.0
            break
        # Both times of the pair (t, t) are t.
        row[t], noise[t] = row[t] / rms, noise[t] / rms
        covariance, noise, factors[t] = row / rms, noise / rms, rms
    with np.errstate(divide="ignore"):
        return np.append(np.cumsum(np.log(factors[-2::-1]))[::-1], 0.0)


def _series(**arrays: Any) -> list[np.ndarray]:
    """Return the arrays as (time, units) in float64; check that the shapes agree."""
    # NumPy's arrays, because JAX's would lose the digits of float64.
    values = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in values.items():
        kinds = (jnp.floating, jnp.integer)
        if not any(jnp.issubdtype(array.dtype, kind) for kind in kinds):
            raise TypeError(
                f"`{name}` is {described(array)}; wanted an array of real numbers."
            )
    shapes = {f"`{name}`": array.shape for name, array in values.items()}
    first = next(iter(shapes.values()))
    differ = any(shape != first for shape in shapes.values())
    if differ or first[:1] < (2,) or 0 in first:
        given = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(
            f"The shapes are {given}; wanted one shape (time, ..., hidden) with at "
            "least two steps. Put time first."
        )
    return [np.asarray(a, np.float64).reshape(first[0], -1) for a in values.values()]


def _check_range(low: float, function: str, **arrays: np.ndarray) -> None:
    """Raise a ValueError for values outside of those of the function; NaN passes."""
    for name, array in arrays.items():
        # The functions of some devices exceed their bounds by rounding.
        if np.any((array < low - 1e-3) | (array > 1 + 1e-3)):
            raise ValueError(
                f"`{name}` has values from {np.nanmin(array):.3g} to "
                f"{np.nanmax(array):.3g}; wanted those of {function}, from {low:g} to "
                "1. Pass the values after the activation."
            )
