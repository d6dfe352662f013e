"""The line of a gradient over time in gated networks, from the values of their gates.

Dynamic mean-field theory of the backward pass. Backwards in time the gradient e of a
unit is multiplied by a gate and receives what comes through the recurrent weights,

    e_{t-1} = keep_t e_t + inject_{t-1} eta_{t-1},

where eta, a sum over many units with random weights, is Gaussian. The weights are the
same at every step, so eta at two times is correlated, and the covariance

    S(t-1, u-1) = weight_variance * E[sum_k through_k(t) through_k(u) e_t e_u]
                + weight_variance * E[across(t) across(u)] S(t, u)

is carried for all pairs of times. With only t = u, as for the independent weights of
layers, paths that pass the weights at different times would not add up, and the
predicted gradient would fall too fast by 0.1 a step or more.
"""

import numpy as np

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

    From the values of the gates in a run forward, without a backward pass, for a loss
    of the last cell. In the terms of the head of this file

        keep    = f,
        inject  = o tanh'(c),
        through = c_{t-1} f (1 - f),  g i (1 - i),  i (1 - g^2),
        across  = tanh(c) o (1 - o).

    Without recurrent weights it is the direct path, the product of the forget gates;
    what the weights add is why the gradient of an LSTM with a forget bias of 4 grows
    although its gates are below 1. Its slope away from both ends is what a measured
    slope is compared with.

    It costs `T^2 H` operations, well under a second for 100 steps of 64 units.

    Args:
        i: Input gate `(T, *batch, H)`, values between 0 and 1, time first.
        f: Forget gate, of the same shape.
        g: Candidate, the tanh, of the same shape.
        o: Output gate, of the same shape.
        c: Cell after each step, of the same shape.
        weight_variance: Hidden units times the variance of a weight of `w_hh`; where
            the block of each gate is orthogonal, the square of its gain.

    Returns:
        `(T,)` nats in float64, relative to the last step. It is `dL/dc_t` as a tap on c
        sees it, with what comes from the output of the same step.

    Raises:
        ValueError: If the shapes differ, there are fewer than two steps, or
            `weight_variance` is negative.

    Example:
        >>> import numpy as np
        >>> half, zero = np.full((3, 5), 0.5), np.zeros((3, 5))
        >>> lstm_gradient_profile(
        ...     half, half, zero, half, zero, weight_variance=0.0
        ... ).round(4)
        array([-1.3863, -0.6931,  0.    ])

    Source: Gilboa et al. 2019, "Dynamical Isometry and a Mean Field Theory of LSTMs and
    GRUs", for the factors; Sompolinsky, Crisanti and Sommers 1988, "Chaos in Random
    Neural Networks", for pairs of times. Gates are taken as measured, and as
    independent of the weights that the gradient passes.
    """
    check_not_negative(weight_variance=weight_variance)
    i, f, g, o, c = _series(i=i, f=f, g=g, o=o, c=c)
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

    As `lstm_gradient_profile`, for `h' = (1 - z) n + z h` with `reset_after` and
    `n = tanh(.. + r m)`, `m = h W_hn`:

        keep    = z,
        inject  = 1,
        through = (h_{t-1} - n) z (1 - z),  (1 - z) (1 - n^2) r,
                  (1 - z) (1 - n^2) r (1 - r) m,

    with `weight_variance * E[h^2]`, the mean square of m, in place of `m^2`.

    Args:
        r: Reset gate `(T, *batch, H)`, values between 0 and 1, time first.
        z: Update gate, of the same shape; it multiplies the old state.
        n: Candidate, the tanh, of the same shape.
        h: State after each step, of the same shape.
        weight_variance: Hidden units times the variance of a weight of `w_hh`.

    Returns:
        `(T,)` nats in float64, relative to the last step.

    Raises:
        ValueError: If the shapes differ, there are fewer than two steps, or
            `weight_variance` is negative.

    Example:
        Gates that hold still at 1/2 leave `log(1/2 + gain / 4)` a step in the end:

        >>> import numpy as np
        >>> half, zero = np.full((60, 5), 0.5), np.zeros((60, 5))
        >>> line = gru_gradient_profile(half, half, zero, zero, weight_variance=1.0)
        >>> round(float(line[0] - line[1]), 2), round(float(np.log(0.75)), 2)
        (-0.29, -0.29)

    Source: as `lstm_gradient_profile`. The bias `b_hn` is left out of m, since it
    starts at zero.
    """
    check_not_negative(weight_variance=weight_variance)
    r, z, n, h = _series(r=r, z=z, n=n, h=h)
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
    """Carry the covariances of e and eta backwards, a row of pairs of times a step.

    Shapes are (T, units), for `through` (K, T, units). What belongs to time t is
    divided by the root mean square of `e_t`, so that nothing leaves the range.
    """
    steps, units = keep.shape
    covariance = np.zeros((steps, units))  # E[e_{t} e_u] of each unit, t the row's
    covariance[-1] = 1.0
    noise = np.zeros(steps)  # S(t, u)
    factors = np.ones(steps)  # rms of e_u over that of e_{u+1}
    for t in range(steps - 2, -1, -1):
        later = slice(t + 1, None)
        pairs = np.einsum("kn,ktn->tn", through[:, t + 1], through[:, later])
        arriving = np.mean(pairs * covariance[later], axis=1)
        arriving += np.mean(across[t + 1] * across[later], axis=1) * noise[later]
        noise = np.zeros(steps)
        noise[t:-1] = arriving / factors[t:-1]
        # From the last time down to t: E[e_u eta_t], and the next row from it.
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


def _series(**arrays: ArrayLike) -> list[np.ndarray]:
    """Return the arrays as (time, units) in float64, or refuse their shapes."""
    shapes = {name: np.shape(array) for name, array in arrays.items()}
    first = next(iter(shapes.values()))
    if any(shape != first for shape in shapes.values()) or first[:1] < (2,):
        raise ValueError(
            f"The gates have the shapes {shapes}; wanted one shape (time, ..., hidden) "
            "with at least two steps. Put time first."
        )
    return [np.asarray(a, np.float64).reshape(first[0], -1) for a in arrays.values()]
