"""Spectrograms of recordings: as batches, in strings, and changed for training."""

from collections.abc import Sequence

import jax
import numpy as np

from jaxnets import functional as F
from jaxnets.tasks.speech.network import BANDS, Utterances


# A spectrogram and the class of its word, from 1 on.
Word = tuple[np.ndarray, int]
# Recordings that are transformed at once.
BLOCK = 64
# Training changes the bands of a voice and the speed of speech by up to these factors,
# and hides at most so many bands and frames. A factor of 1.1 moves the upper bands by
# 20 % in Hz, which is about as far as voices differ.
WARP, SPEED, HIDDEN_BANDS, HIDDEN_FRAMES = 1.1, 1.25, 8, 10
# Microphones and rooms differ in how much of each frequency they let through. Training
# adds a curve over the bands that is drawn at so many places, with this deviation in
# nats.
PLACES, DEVIATION = 5, 1.0


def spectrograms(sounds: Sequence[np.ndarray], rate: int) -> list[np.ndarray]:
    """Return the log-mel spectrogram of each sound, `(T, BANDS)`."""
    transform = jax.jit(lambda x: F.log_mel(x, sample_rate=rate, bands=BANDS))
    # All blocks have one shape, so that the transform is compiled once.
    longest = max(max(map(len, sounds)), round(0.025 * rate))
    found = []
    for start in range(0, len(sounds), BLOCK):
        block = np.zeros((BLOCK, longest), np.float32)
        for row, sound in zip(block, sounds[start : start + BLOCK], strict=False):
            row[: len(sound)] = sound
        made = np.asarray(transform(block))
        for rows, sound in zip(made, sounds[start : start + BLOCK], strict=False):
            found.append(rows[: max(1, frames_of(len(sound), rate))])
    return found


def frames_of(samples: int, rate: int) -> int:
    """Return the number of whole frames in a number of samples."""
    return (samples - round(0.025 * rate)) // round(0.01 * rate) + 1


def padded(
    strings: Sequence[tuple[np.ndarray, Sequence[int]]], frames: int, words: int
) -> Utterances:
    """Return spectrograms and their labels as arrays, with zeros after each end."""
    x = np.zeros((len(strings), frames, BANDS), np.float32)
    labels = np.zeros((len(strings), words), np.int32)
    lengths = np.zeros(len(strings), np.int32)
    for row, (spectrogram, classes) in enumerate(strings):
        lengths[row] = len(spectrogram)
        x[row, : lengths[row]] = spectrogram
        labels[row, : len(classes)] = classes
    return Utterances(x, lengths, labels)


def changed(spectrogram: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Return a spectrogram of another voice, speed and microphone, with parts hidden.

    A voice with a shorter vocal tract has higher formants, which moves them along the
    bands. What is hidden has the mean of the spectrogram.

    Source: Park et al. 2019, "SpecAugment", for what is hidden; Jaitly and Hinton 2013,
    "Vocal Tract Length Perturbation", for the frequencies.
    """
    speed = SPEED ** draw.uniform(-1, 1)
    warp = WARP ** draw.uniform(-1, 1)
    frames = np.arange(max(1, round(len(spectrogram) / speed))) * speed
    rows = np.minimum(np.rint(frames), len(spectrogram) - 1).astype(int)
    places = np.clip(np.arange(BANDS) * warp, 0, BANDS - 1)
    low = places.astype(int)
    share = (places - low).astype(np.float32)
    high = np.minimum(low + 1, BANDS - 1)
    kept = spectrogram[rows]
    kept = (1 - share) * kept[:, low] + share * kept[:, high]
    curve = DEVIATION * draw.standard_normal(PLACES)
    bands = np.linspace(0, PLACES - 1, BANDS)
    kept += np.interp(bands, np.arange(PLACES), curve).astype(np.float32)
    mean = kept.mean()
    band, frame = draw.integers(0, BANDS), draw.integers(0, len(kept))
    kept[:, band : band + draw.integers(0, HIDDEN_BANDS + 1)] = mean
    longest = min(HIDDEN_FRAMES, len(kept) // 4)
    kept[frame : frame + draw.integers(0, longest + 1)] = mean
    return kept
