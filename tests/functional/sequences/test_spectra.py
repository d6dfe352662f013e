"""The log-mel spectrogram against the formula in NumPy, frame by frame."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional import log_mel
from tests.oracles import sequences as oracle


# 15 samples in a frame, 7 from one to the next, and a transform of 16.
OPTIONS = {"sample_rate": 1000, "bands": 3, "window": 0.015, "hop": 0.007}


@pytest.mark.parametrize("samples", [15, 50])
def test_it_is_the_formula(samples, rng):
    signal = rng.normal(size=(2, samples))
    found = log_mel(signal.astype(np.float32), **OPTIONS)
    assert found.dtype == jnp.float32
    expected = [oracle.log_mel(row, 1000, 3, 15, 7, 16, 1e-6) for row in signal]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert found.shape == (2, (samples - 15) // 7 + 1, 3)


def test_the_gradient_is_that_of_the_formula(rng):
    signal, options = rng.normal(size=22), {**OPTIONS, "offset": 0.1}
    slope = jax.grad(lambda x: log_mel(x, **options).sum())(jnp.asarray(signal))
    total = lambda x: oracle.log_mel(x, 1000, 3, 15, 7, 16, 0.1).sum()
    (expected,) = oracle.slopes(total, [signal])
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-5)


def test_narrow_floats_and_silence():
    silence = log_mel(jnp.zeros(40, jnp.bfloat16), **OPTIONS)
    assert silence.dtype == jnp.bfloat16
    np.testing.assert_allclose(silence.astype(np.float32), np.log(1e-6), rtol=1e-2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"signal": np.ones(50, np.int16)}, TypeError, "`signal` has dtype int16"),
        ({"signal": np.ones((2, 14))}, ValueError, "at least the 15 samples of a fra"),
        ({"signal": np.float32(1)}, ValueError, r"`signal` has shape \(\)"),
        ({"bands": 0}, ValueError, "`bands` is 0; wanted 1 or more"),
        ({"bands": 12}, ValueError, "`bands` is 12, which leaves a band without"),
        ({"hop": 0}, ValueError, "`hop` is 0; wanted a finite number above 0"),
        ({"window": -1.0}, ValueError, "`window` is -1.0; wanted"),
        ({"window": 1e308}, ValueError, "samples of a frame. Pad it, or shorten"),
        ({"sample_rate": np.inf}, ValueError, "`sample_rate` is inf; wanted"),
        ({"offset": 1e-50}, ValueError, "`offset` is 1e-50, which is 0 in float32"),
        ({"offset": "no"}, TypeError, "`offset` is 'no'"),
    ],
)
@pytest.mark.usefixtures("unchecked_annotations")
def test_wrong_arguments_are_named(change, error, message):
    arguments = {"signal": np.ones(50), **OPTIONS, **change}
    with pytest.raises(error, match=message):
        log_mel(arguments.pop("signal"), **arguments)
