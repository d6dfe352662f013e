"""The task: words in strings for training, single words and strings for evaluation."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from jaxnets.data.splits import split_off
from jaxnets.tasks.epochs import check_batch_size
from jaxnets.tasks.speech.floors import Regression, frequency_loss
from jaxnets.tasks.speech.network import Network, Utterances, word_loss
from jaxnets.tasks.speech.recordings import Recording, read_recordings
from jaxnets.tasks.speech.results import results
from jaxnets.tasks.speech.samples import hear, words_of
from jaxnets.tasks.speech.spectrograms import Word, changed, padded, spectrograms
from jaxnets.tasks.speech.vowels import RATE, generated_vowels
from jaxnets.tasks.task import Prepared, Sampler, Task
from jaxnets.training import Recipe, rows_of_step
from jaxnets.training.trainer.order import generator


# A training string has as many words as fit into so many frames, up to so many words.
FRAMES, WORDS = 128, 4
# Strings of words of the test split, and how many words each of them has.
STRINGS, STRING_WORDS = 100, (3, 4, 5)
VALIDATION_SHARE = 0.1
# With more words the confusion matrix is too large for a page.
MOST_WORDS = 100


def prepare(recipe: Recipe, data: Path | None) -> Prepared:
    """Load recordings of single words, and make strings of them.

    Args:
        recipe: Its seed and batch size decide the strings.
        data: A folder or zip archive of files `word_speaker_index.wav`, such as the
            `recordings` of the Free Spoken Digit Dataset; None generates vowels and
            glides. Files in folders called `train` and `test` are split so; without
            them the indices 0 to 4 are for the test.

    Raises:
        ValueError: If a file is not a recording, or there are too few of them.
        OSError: If one cannot be read.
    """
    if data is None:
        rate, recordings = RATE, generated_vowels()
    else:
        rate, recordings = read_recordings(data)
    source = str(data or "The generated vowels")
    words, training, validation, test = _split(recordings, rate, source)
    check_batch_size(recipe, len(training), "training recordings")

    def batch(step: int) -> Utterances:
        rows = rows_of_step(recipe.seed, step, len(training), recipe.batch_size)
        draw = generator(recipe.seed, step)
        strings = [_string(training, row, draw) for row in rows.tolist()]
        return padded(strings, FRAMES, WORDS)

    evaluation = {
        "validation": _whole(validation),
        "test": _whole(test),
        "strings": _strings(test),
    }
    about = {"words": words, "rate": rate}
    regression = functools.cache(lambda: Regression(training))

    def floors() -> dict[str, float]:
        frequent = frequency_loss(training, validation)
        return {"floor": frequent, "logistic_regression": regression().loss(validation)}

    return Prepared(
        functools.partial(Network, words=len(words)),
        word_loss,
        batch,
        evaluation,
        about,
        floors,
        lambda model, folder: results(
            words, regression(), evaluation["test"], evaluation["strings"], model
        ),
    )


def _split(
    recordings: list[Recording], rate: int, source: str
) -> tuple[list[str], list[Word], list[Word], list[Word]]:
    """Return the words, and the training, validation and test recordings."""
    words = sorted({recording.word for recording in recordings})
    if not 2 <= len(words) <= MOST_WORDS:
        raise ValueError(f"{source}: {len(words)} words; wanted 2 to {MOST_WORDS}.")
    made = spectrograms([recording.samples for recording in recordings], rate)
    classes = [1 + words.index(recording.word) for recording in recordings]
    pairs = list(zip(made, classes, strict=True))
    tested = np.array([recording.tested for recording in recordings])
    rest, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    if not len(test) or set(np.array(classes)[test]) - set(np.array(classes)[rest]):
        raise ValueError(
            f"{source}: {len(rest)} recordings are for training and {len(test)} for "
            "the test; wanted some for each, and no word in the test only. Those of "
            "the indices 0 to 4, or in a folder `test`, are for the test."
        )
    labels = np.array(classes)[rest]
    kept, off = split_off(rest, labels, VALIDATION_SHARE, 0, source)
    parts = (np.asarray(kept.x), np.asarray(off.x), test)
    training, validation, test = ([pairs[row] for row in part] for part in parts)
    return words, training, validation, test


def _string(
    training: list[Word], first: int, draw: np.random.Generator
) -> tuple[np.ndarray, list[int]]:
    """Return changed recordings one after the other, as many as fit."""
    rows = [first, *draw.integers(0, len(training), draw.integers(0, WORDS)).tolist()]
    parts, classes = [], []
    for row in rows:
        spectrogram, word = training[row]
        part = changed(spectrogram, draw)
        if parts and sum(map(len, parts)) + len(part) > FRAMES:
            break
        parts.append(part[:FRAMES])
        classes.append(word)
    return np.concatenate(parts), classes


def _whole(recordings: list[Word]) -> Utterances:
    """Return single words, none of which is changed or cut off."""
    frames = max(len(spectrogram) for spectrogram, _ in recordings)
    return padded([(made, [word]) for made, word in recordings], frames, 1)


def _strings(test: list[Word]) -> Utterances:
    """Return strings of recordings of the test split."""
    draw, strings = generator(0, 1), []
    for _ in range(STRINGS):
        rows = draw.integers(0, len(test), draw.choice(STRING_WORDS))
        chosen = [test[row] for row in rows]
        made, classes = zip(*chosen, strict=True)
        strings.append((np.concatenate(made), classes))
    frames = max(len(spectrogram) for spectrogram, _ in strings)
    return padded(strings, frames, max(STRING_WORDS))


def _made_again(rngs: nnx.Rngs, about: Mapping[str, Any]) -> Network:
    return Network(rngs, len(words_of(about)))


TASK = Task(
    "speech",
    Recipe(
        steps=1200,
        batch_size=32,
        learning_rate=3e-3,
        optimizer="adamw",
        weight_decay=0.01,
        warmup=50,
        average=0.99,
        evaluate_every=200,
        checkpoint_every=200,
    ),
    prepare,
    Sampler(_made_again, hear),
)
