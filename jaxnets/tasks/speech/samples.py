"""What the trained network hears in a wav file."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from scipy.signal import resample_poly

from jaxnets.tasks.speech.network import POOL, Network
from jaxnets.tasks.speech.recordings import MOST_BYTES, read_wav
from jaxnets.tasks.speech.search import search
from jaxnets.tasks.speech.spectrograms import padded, spectrograms
from jaxnets.tasks.task import SampleOptions


# The most words that are listed.
MOST_WORDS = 100


def hear(model: Network, about: Mapping[str, Any], options: SampleOptions) -> list[str]:
    """Return the words in the wav file that the prompt names.

    Raises:
        ValueError: If there is no prompt, or the file is not a wav file of 16 bits.
        OSError: If it cannot be read.
    """
    words = words_of(about)
    if not options.prompt:
        raise ValueError(
            "`prompt` is missing; wanted the path of a wav file, whose words the "
            "network writes down."
        )
    if not Path(options.prompt).is_file():
        raise FileNotFoundError(
            f"`prompt` is {options.prompt!r}, where there is no file; wanted the path "
            "of a wav file."
        )
    with Path(options.prompt).open("rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"{options.prompt} has more than {MOST_BYTES} bytes.")
    rate, samples = read_wav(data, options.prompt)
    if rate != about["rate"]:
        both = math.gcd(rate, about["rate"])
        samples = resample_poly(samples, about["rate"] // both, rate // both)
    (spectrogram,) = spectrograms([samples], about["rate"])
    heard = padded([(spectrogram, [])], len(spectrogram), 0)
    frames = np.asarray(heard.lengths) // POOL
    logits = nnx.jit(model)(heard.x, heard.lengths)
    classes = np.asarray(search(logits, frames, MOST_WORDS))[0]
    return [" ".join(words[word - 1] for word in classes if word)]


def words_of(about: Mapping[str, Any]) -> list[str]:
    """Return the words that a checkpoint names.

    Raises:
        ValueError: If there are none, or the sampling rate is missing.
    """
    words, rate = about.get("words"), about.get("rate")
    named = isinstance(words, list) and all(isinstance(word, str) for word in words)
    if not named or not words or not isinstance(rate, int) or rate < 1:
        raise ValueError(
            "The checkpoint does not say which words the network knows, and at which "
            "sampling rate. Train anew."
        )
    return words
