"""The claims on time, measured in recurrent networks at their initialisation.

The networks are drawn for each seed and are not trained.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.functional import LSTMParams, LSTMState, lstm_step
from jaxnets.gradflow import (
    adjoint_parts,
    log_adjoint_norms,
    lyapunov_spectrum,
    theory,
)
from jaxnets.studies.theory.points import Measurement, Networks, Point, slopes


class TimeSizes(NamedTuple):
    """Sizes of the networks of the claims on time.

    Attributes:
        hidden: Number of units of the vanilla RNNs; the LSTM has half as many.
        steps: Number of time steps of the RNN and the LSTM.
        long: Number of time steps over which Lyapunov exponents are averaged, and about
            three times the longest memory of claim 10.
    """

    hidden: int
    steps: int
    long: int


INPUT_STD = 0.5


def rnn(sizes: TimeSizes, networks: Networks) -> Measurement:
    """Claim 6: log ||gradient|| changes by log g per step at rest, by less with input.

    Input pushes the units into saturation.
    """
    n, steps = sizes.hidden, sizes.steps
    gains = (0.8, 0.95, 1.0, 1.2)
    inputs = {"at rest": 0.0, "with input": INPUT_STD}

    def of_key(key):
        w_key, x_key, g_key = jax.random.split(key, 3)
        w = jax.random.orthogonal(w_key, n)
        noise = jax.random.normal(x_key, (steps, n))
        cotangent = jax.random.normal(g_key, (n,))

        def logs(std, gain):
            step = lambda h, x_t: (jnp.tanh(gain * h @ w + x_t), None)
            return log_adjoint_norms(step, jnp.zeros(n), std * noise, cotangent)

        over_gains = jax.vmap(logs, (None, 0))
        return jax.vmap(over_gains, (0, None))(
            jnp.array([*inputs.values()]), jnp.array(gains)
        )

    # The state starts at zero and needs some steps for its norm to converge.
    found = -slopes(networks.measure(of_key)[..., steps // 10 :])
    points = [
        # At rest every derivative of tanh is 1, whether or not rest is stable.
        Point(
            name,
            gain,
            found[:, i, j],
            theory.rnn_slope(gain, std**2) if std else float(np.log(gain)),
        )
        for i, (name, std) in enumerate(inputs.items())
        for j, gain in enumerate(gains)
    ]
    return Measurement(points, n**2)


def forget_bias(sizes: TimeSizes, networks: Networks) -> Measurement:
    """Claim 7: the direct path through an LSTM's cell has slope log sigmoid(b).

    The slope is that of `log ||dL/dc||`, per step. The LSTM is at rest, and its
    recurrent weights are 0.5 times orthogonal matrices. The other paths go through the
    candidate g and its gate. With them the Jacobian of `dL/dc` is `sigmoid(b) + Q / 8`,
    with Q orthogonal: they can turn forgetting into growth.
    """
    n, steps = max(4, sizes.hidden // 2), sizes.steps
    biases = (0.0, 1.0, 2.0, 4.0)

    def of_key(key):
        w_key, g_key = jax.random.split(key)
        gates = jax.random.orthogonal(w_key, n, (4,))
        w_hh = 0.5 * jnp.concatenate(list(gates), axis=1)
        cotangent = LSTMState(h=jnp.zeros(n), c=jax.random.normal(g_key, (n,)))

        def of_bias(forget):
            b = jnp.zeros(4 * n).at[n : 2 * n].set(forget)
            params = LSTMParams(w_xh=jnp.zeros((1, 4 * n)), w_hh=w_hh, b=b)
            step = lambda state, x_t: lstm_step(params, state, x_t)

            def direct(state, x_t):
                return step(state._replace(h=jax.lax.stop_gradient(state.h)), x_t)

            state = LSTMState(h=jnp.zeros(n), c=jnp.zeros(n))
            xs = jnp.zeros((steps, 1))
            select = lambda state: state.c
            parts = adjoint_parts(step, direct, state, xs, cotangent, select=select)
            ends = jnp.stack([parts.direct, parts.total])
            return (ends[:, 0] - ends[:, -1]) / (steps - 1)

        return jax.lax.map(of_bias, jnp.array(biases))

    found = networks.measure(of_key)
    predict = (theory.forget_gate_slope, lambda b: _all_paths_slope(b, steps - 1))
    points = [
        Point(name, bias, found[:, j, i], predict[i](bias))
        for i, name in enumerate(("direct path", "all paths"))
        for j, bias in enumerate(biases)
    ]
    return Measurement(points, 4 * n**2 + 8 * n)


def _all_paths_slope(bias: float, steps: int) -> float:
    """Return the log slope of the root mean square of `(sigmoid(b) + Q / 8)^steps v`.

    The eigenvalues of a random orthogonal Q are uniform on the unit circle.
    """
    angles = np.linspace(0, 2 * np.pi, 4096, endpoint=False)
    gate = np.exp(theory.forget_gate_slope(bias))
    logs = 2 * steps * np.log(np.abs(gate + np.exp(1j * angles) / 8))
    return float(np.logaddexp.reduce(logs) - np.log(angles.size)) / (2 * steps)


def lyapunov(sizes: TimeSizes, networks: Networks) -> Measurement:
    """Claim 8: gradients grow at the largest Lyapunov exponent, which is 0 at g = 1.

    The network is `h_t = tanh(g W h_{t-1})` with a Gaussian W. The prediction for each
    network is its own exponent, measured forwards in time.
    """
    n, steps = sizes.hidden, sizes.long
    gains = (0.8, 1.0, 1.5, 2.0)

    def of_key(key):
        w_key, h_key, g_key = jax.random.split(key, 3)
        w = jax.random.normal(w_key, (n, n)) / jnp.sqrt(n)
        start, cotangent = (jax.random.normal(k, (n,)) for k in (h_key, g_key))

        def of_gain(gain):
            step = lambda h, _: (jnp.tanh(gain * h @ w), None)
            # The first steps are a transient that neither average includes.
            h = jax.lax.scan(step, start, jnp.zeros(steps // 2))[0]
            xs = jnp.zeros(steps)
            logs = log_adjoint_norms(step, h, xs, cotangent)
            exponent = lyapunov_spectrum(step, h, xs, count=1)[0]
            return jnp.stack([(logs[0] - logs[-1]) / (steps - 1), exponent])

        return jax.lax.map(of_gain, jnp.array(gains))

    found = networks.measure(of_key)
    points = [
        Point("Gaussian RNN", gain, found[:, i, 0], found[:, i, 1])
        for i, gain in enumerate(gains)
    ]
    return Measurement(points, n**2)


def curse_of_memory(sizes: TimeSizes, networks: Networks) -> Measurement:
    """Claim 10: the sensitivity of a linear unit grows with its memory.

    The unit is `h_t = lambda h_{t-1} + gamma x_t` with white input and its memory
    `m = 1 / (1 - lambda^2)`. Its parameter is lambda or nu, with
    `lambda = exp(-exp(nu))`, and gamma is 1 or `sqrt(1 - lambda^2)`. From
    `E[h^2] = m`, `E[h dh/dlambda] = lambda m^2` and
    `E[(dh/dlambda)^2] = (1 + lambda^2) m^3` follows that the root mean square of the
    derivative by lambda is `sqrt(1 + lambda^2) m^(3/2)` with gamma 1, and exactly m
    with the normalised input. The other parameter multiplies both by
    `|dlambda/dnu| = lambda |log lambda|`, which is about `1 / (2 m)`.
    """
    largest = max(1, int(np.log2(sizes.long / 3)))
    powers = np.arange(1, largest + 1)
    lam = np.sqrt(1 - 0.5**powers)
    nu = np.log(-np.log(lam))
    # Half of the steps are left out, which is four times as long as a state lasts.
    steps, sequences = 16 * 2**largest, 32
    exponential = lambda nu: jnp.exp(-jnp.exp(nu))
    lines = {
        "lambda": (lambda lam: lam, lam, False),
        "lambda, normalised input": (lambda lam: lam, lam, True),
        "exponential": (exponential, nu, False),
        "exponential, normalised input": (exponential, nu, True),
    }

    def of_key(key):
        xs = jax.random.normal(key, (steps, sequences))

        def sensitivity(to_lambda, theta, normalised):
            def states(theta):
                lam = to_lambda(theta)
                gamma = jnp.sqrt(1 - lam**2) if normalised else 1.0
                step = lambda h, x_t: (lam * h + gamma * x_t,) * 2
                return jax.lax.scan(step, jnp.zeros(sequences), xs)[1]

            _, slope = jax.jvp(states, (theta,), (jnp.ones_like(theta),))
            return jnp.log10(jnp.sqrt(jnp.mean(slope[steps // 2 :] ** 2)))

        return jnp.stack(
            [
                jax.lax.map(
                    lambda theta, of=of, norm=norm: sensitivity(of, theta, norm),
                    jnp.float32(thetas),
                )
                for of, thetas, norm in lines.values()
            ]
        )

    found = networks.measure(of_key)
    memory = 2.0**powers
    by_lambda = {False: np.sqrt(1 + lam**2) * memory**1.5, True: memory}
    factors = {"lambda": 1.0, "exponential": -lam * np.log(lam)}
    points = []
    for i, (name, (_, _, normalised)) in enumerate(lines.items()):
        predicted = np.log10(factors[name.partition(",")[0]] * by_lambda[normalised])
        points += [
            Point(name, float(power), found[:, i, j], float(predicted[j]))
            for j, power in enumerate(powers)
        ]
    return Measurement(points, 1)
