"""Generated vowels and glides of many voices, whose words are known."""

import numpy as np

from jaxnets.tasks.speech.recordings import Recording
from jaxnets.training.trainer.order import generator


# The first three formants in Hz of a man's vowels: means of Peterson and Barney 1952.
FORMANTS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
# A glide goes from one vowel to the other, so that only the order tells ai from ia.
WORDS = ("a", "e", "i", "o", "u", "ai", "ia", "au", "ua", "ui")
BANDWIDTHS = np.array([80.0, 100.0, 120.0])
# Samples in a second, and how long a word lasts.
RATE, LEAST_SECONDS, MOST_SECONDS = 8000, 0.15, 0.35
# A word starts anywhere in its sound, with at most so much noise before and after it.
MOST_PAUSE_SECONDS, NOISE = 0.15, 0.05
# Voices of the training and of the test split, and how often each says each word.
VOICES, TESTED_VOICES, TIMES = 20, 6, 4
# Times at which the loudness of a harmonic is computed.
POINTS = 25


def generated_vowels() -> list[Recording]:
    """Return vowels and glides at 8 kHz; no voice of the test split is in the other.

    Example:
        >>> vowels = generated_vowels()
        >>> len(vowels), vowels[0].word, vowels[0].tested
        (1040, 'a', False)
    """
    draw = generator(0, 0)
    found = []
    for voice in range(VOICES + TESTED_VOICES):
        # A shorter vocal tract has higher formants, and mostly a higher pitch.
        tract = draw.uniform(0.95, 1.25)
        pitch = 100 * 2.0 ** (4 * (tract - 0.95) + draw.uniform(-0.2, 0.2))
        for word in WORDS:
            for _ in range(TIMES):
                samples = _spoken(draw, word, tract, pitch)
                tested = voice >= VOICES
                found.append(Recording(word, f"voice{voice}", tested, samples))
    return found


def _spoken(
    draw: np.random.Generator, word: str, tract: float, pitch: float
) -> np.ndarray:
    """Return the harmonics of a voice, each as loud as the formants let it through."""
    count = int(RATE * draw.uniform(LEAST_SECONDS, MOST_SECONDS))
    # The formants vary a little each time that a voice says a word.
    ends = np.array([FORMANTS[word[0]], FORMANTS[word[-1]]]) * tract
    ends = ends * draw.normal(1, 0.04, (1, 3))
    blend = np.linspace(0, 1, count)
    f = pitch * draw.uniform(0.9, 1.1) * (1 - 0.2 * draw.random() * blend)
    turn = np.exp(2j * np.pi * np.cumsum(f) / RATE)
    wave, sound = np.ones(count, complex), np.zeros(count)
    # The loudness of a harmonic changes slowly, so that a few points are enough.
    points = np.linspace(0, 1, POINTS)
    formants = (1 - points[:, None]) * ends[0] + points[:, None] * ends[1]
    for number in range(1, int(RATE / 2 / f.max()) + 1):
        hertz = number * np.interp(points, blend, f)[:, None]
        gains = formants**2 / np.hypot(formants**2 - hertz**2, BANDWIDTHS * hertz)
        wave = wave * turn
        sound += np.interp(blend, points, gains.prod(axis=1) / number) * np.imag(wave)
    fade = np.minimum(1, np.minimum(blend, 1 - blend) * 10)
    sound = 0.3 * fade * sound / np.abs(sound).max()
    pauses = draw.integers(0, int(RATE * MOST_PAUSE_SECONDS), 2)
    sound = np.pad(sound, pauses)
    return (sound + NOISE * draw.normal(size=len(sound))).astype(np.float32)
