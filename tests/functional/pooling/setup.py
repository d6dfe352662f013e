"""What the tests of pools share: random problems, and the options of the oracle."""

from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np

from tests.oracles import pool as oracle


MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")


def cotangent(shape):
    """A cotangent with a different number for every output."""
    return np.sin(1.0 + np.arange(np.prod(shape))).reshape(shape)


def value_and_pullback(function, x):
    """Return `function(x)`, and the gradient of `x` for `cotangent`."""

    # One program for both, since compiling takes most of the time.
    @jax.jit
    def both(x):
        y, pullback = jax.vjp(function, x)
        return y, *pullback(jnp.asarray(cotangent(y.shape), x.dtype))

    return both(jnp.asarray(x, jnp.float32))


def assert_all_close(actual, expected):
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-5)


def oracle_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a pool by their names in the oracle."""
    names = {"padding_mode": "mode", "window_dilation": "dilation"}
    return {names.get(name) or name: value for name, value in options.items()}


@st.composite
def problems(draw):
    """Draw any combination of options for which the window fits into every axis."""
    ndim = draw(st.sampled_from([1, 2, 2, 3]))
    each = lambda low, high: draw(st.tuples(*[st.integers(low, high)] * ndim))
    sizes, window, dilation = each(1, 6), each(1, 3), each(1, 2)
    strides = draw(st.sampled_from([None, each(1, 4)]))
    mode = draw(st.sampled_from(MODES))
    pairs = tuple(zip(each(0, 2), each(0, 2), strict=True))
    strings = ["VALID", "SAME", "SAME_LOWER"] + (["CAUSAL"] if ndim == 1 else [])
    padding = draw(st.sampled_from([pairs, pairs, 1, *strings]))
    ceil_mode = draw(st.booleans())
    amounts = oracle.axis_pairs(padding, sizes, window, strides or window, dilation)
    for n, pair, k, s, d in zip(
        sizes, amounts, window, strides or window, dilation, strict=True
    ):
        same = padding in ("SAME", "SAME_LOWER")
        hypothesis.assume(oracle.out_size(n, pair, k, s, d, ceil_mode and not same) > 0)
        if mode in ("reflect", "circular", "symmetric"):
            hypothesis.assume(max(pair) <= n - (mode == "reflect"))
    options = dict(padding=padding, padding_mode=mode, window_dilation=dilation)
    return sizes, window, options | dict(strides=strides, ceil_mode=ceil_mode)


def with_ties(rng, shape):
    """Draw few different values, including minus infinity and NaN."""
    return rng.choice([-np.inf, 0.0, 1.0, np.nan], p=[0.4, 0.3, 0.2, 0.1], size=shape)
