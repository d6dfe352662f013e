"""Self-checks: tiny runs of each part of the library on the devices of this machine."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import functional as F
from jaxnets import gradflow


def self_checks() -> dict[str, str]:
    """Run each part of the library once, at a tiny size, on the default device.

    Returns:
        For each part, the problem in one line, or an empty text if there is none.

    Example:
        >>> from jaxnets.studies import self_checks
        >>> set(self_checks().values())
        {''}
    """
    checks: dict[str, Callable[[], None]] = {
        "convolution and its gradients, inside a loop": _check_convolution,
        "max pooling and its gradient": _check_pooling,
        "RNN, GRU and LSTM": _check_recurrence,
        "gradient taps inside a loop": _check_taps,
    }
    problems = {}
    for name, check in checks.items():
        try:
            check()
            problems[name] = ""
        except Exception as error:
            # Any exception is caught: `doctor` reports it and goes on.
            problems[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    return problems


def _check_convolution() -> None:
    x, kernel = jnp.ones((1, 4, 4, 1)), jnp.full((3, 3, 1, 1), 0.1)

    def loss(kernel):
        body = lambda x, _: (F.conv(x, kernel), None)
        return jnp.sum(jax.lax.scan(body, x, length=2)[0])

    _agree(
        jax.jit(jax.grad(loss))(kernel),
        jax.grad(
            lambda k: jnp.sum(
                F.conv(F.conv(x, k, implementation="lax"), k, implementation="lax")
            )
        )(kernel),
    )


def _check_pooling() -> None:
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    gradient = jax.grad(lambda x: jnp.sum(F.max_pool(x, 2)))(x)
    _agree(jnp.flatnonzero(gradient), [5, 7, 13, 15])


def _check_recurrence() -> None:
    key = jax.random.key(0)
    x = jnp.ones((2, 5, 3))
    cells: list[tuple[Callable[..., Any], Any]] = [
        (F.rnn, F.init_rnn(key, 3, 4)),
        (F.gru, F.init_gru(key, 3, 4)),
        (F.lstm, F.init_lstm(key, 3, 4)),
    ]
    for run, params in cells:
        state, ys = run(params, x)
        _agree(jax.tree.leaves(state)[0], ys[:, -1])


def _check_taps() -> None:
    def loss(w):
        step = lambda h, _: (gradflow.tap(w * h, "h"), None)
        return jax.lax.scan(step, jnp.ones(()), length=3)[0]

    _agree(gradflow.measure(loss, jnp.float32(0.5)).taps["h"].norm, [0.25, 0.5, 1.0])


def _agree(actual, expected) -> None:
    """Check that the values agree within the precision of matrix units."""
    np.testing.assert_allclose(actual, expected, rtol=2e-2)
