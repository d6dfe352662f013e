"""Log-mel spectrograms of sounds, the usual input of a network for speech."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxnets.arguments import as_array, as_count, check_number
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.typing import ArrayLike


def log_mel(
    signal: Float[ArrayLike, "*batch samples"],
    *,
    sample_rate: int | float,
    bands: int = 40,
    window: int | float = 0.025,
    hop: int | float = 0.01,
    offset: int | float = 1e-6,
) -> Float[Array, "*batch time bands"]:
    r"""Return the logarithm of a signal's energy in bands evenly spaced in mel.

    Frame t has the L samples from `t * S` on, where L and S are `window` and `hop` in
    samples. It is multiplied by a Hann window w and transformed:

        P[t, k] = |sum_n w[n] signal[t S + n] exp(-2 pi i k n / N)|^2
        y[t, b] = log(sum_k H[b, k] P[t, k] + offset)

    N is the smallest power of two that is at least L. The weights `H[b, k]` of band b
    are a triangle over the frequency: 1 at the band's centre, and 0 at and beyond the
    centres of its neighbours. The centres are evenly spaced in mel,
    `2595 log10(1 + f / 700)`, from 0 to half the sampling rate.

    Args:
        signal: `(*batch, n)` samples, for example from -1 to 1.
        sample_rate: Samples per second.
        bands: B, number of bands.
        window: Length of a frame in seconds.
        hop: Time from one frame to the next in seconds.
        offset: Added to the energies, so that the logarithm of silence is finite.

    Returns:
        `(*batch, T, B)` with `T = (n - L) // S + 1`. No frame is padded.

    Raises:
        TypeError: If `signal` is not floating-point, or an option is not a number.
        ValueError: If an option is out of range, the signal is shorter than a frame, or
            a band is so narrow that it lies between two frequencies.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import log_mel
        >>> tone = jnp.sin(2 * jnp.pi * 1000 * jnp.arange(8000) / 8000)
        >>> y = log_mel(tone, sample_rate=8000, bands=20)
        >>> y.shape, int(y[0].argmax())  # The centre of band 9 is at 1011 Hz.
        ((98, 20), 9)

    Source: Davis and Mermelstein 1980, "Comparison of Parametric Representations for
    Monosyllabic Word Recognition", section II, for the triangles; the formula of mel is
    that of HTK. `librosa.feature.melspectrogram` pads the signal by default, and
    scales the triangles to equal areas.
    """
    signal = as_array(signal, "signal")
    if not jnp.issubdtype(signal.dtype, jnp.floating):
        raise TypeError(
            f"`signal` has dtype {signal.dtype}; wanted floating-point numbers. Divide "
            "samples of 16 bits by 32768."
        )
    bands = as_count(bands, "bands")
    numbers = {"sample_rate": sample_rate, "window": window, "hop": hop}
    for name, number in (numbers | {"offset": offset}).items():
        _check_positive(name, number)
    # More samples than this no array has.
    length, step = (
        max(1, round(min(time * sample_rate, 2.0**62))) for time in (window, hop)
    )
    samples = signal.shape[-1] if signal.ndim else 0
    if samples < length:
        raise ValueError(
            f"`signal` has shape {signal.shape}; wanted (*batch, samples) with at "
            f"least the {length} samples of a frame. Pad it, or shorten `window`."
        )
    size = 2 ** math.ceil(math.log2(length))
    weights = _triangles(float(sample_rate), size, bands)
    wide = accumulation_dtype(signal.dtype)
    if offset < jnp.finfo(wide).tiny:
        raise ValueError(
            f"`offset` is {offset}, which is 0 in {wide}, so that silence has no "
            "logarithm. Take a larger one."
        )
    starts = np.arange(0, samples - length + 1, step)
    frames = signal.astype(wide)[..., starts[:, None] + np.arange(length)]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    smoothed = jnp.einsum("...n,n->...n", frames, hann.astype(wide))
    spectrum = jnp.fft.rfft(smoothed, size)
    power = spectrum.real**2 + spectrum.imag**2
    highest = jax.lax.Precision.HIGHEST
    energy = jnp.matmul(power, weights.astype(wide), precision=highest)
    return jnp.log(energy + offset).astype(signal.dtype)


def _triangles(sample_rate: float, size: int, bands: int) -> np.ndarray:
    """Return the weights of the frequencies in the bands, `(size // 2 + 1, bands)`."""
    highest = 2595 * math.log10(1 + sample_rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, bands + 2) / 2595) - 1)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    f = np.arange(size // 2 + 1)[:, None] * sample_rate / size
    rising, falling = (f - low) / (centre - low), (high - f) / (high - centre)
    weights = np.maximum(0, np.minimum(rising, falling))
    if not weights.any(axis=0).all():
        raise ValueError(
            f"`bands` is {bands}, which leaves a band without a frequency: those of a "
            f"frame are {sample_rate / size:.3g} Hz apart. Take fewer bands or a "
            "longer `window`."
        )
    return weights


def _check_positive(name: str, number: Any) -> None:
    wanted = "a finite number above 0"
    check_number(name, number, wanted)
    if not 0 < number < math.inf:
        raise ValueError(f"`{name}` is {number}; wanted {wanted}.")
