"""Characters: a recurrent network that predicts the next character of a text."""

import functools
from pathlib import Path

import numpy as np

from jaxnets import models, nn
from jaxnets.data import Labelled
from jaxnets.tasks.task import Prepared, Task
from jaxnets.tasks.text import Text
from jaxnets.training import Recipe, classification
from jaxnets.training.trainer.order import generator


# Steps of a training sequence, and of those that are evaluated.
LENGTH, EVALUATED_LENGTH, EVALUATED = 64, 256, 16
HIDDEN = 192
VALIDATION_SHARE = 0.1


def prepare(recipe: Recipe, data: Path | None) -> Prepared:
    """Cut a text into training and validation, and draw windows of the first.

    Args:
        recipe: Its seed and batch size decide the windows.
        data: A text in UTF-8, which stays in its file; None takes Python's own help
            texts.

    Raises:
        ValueError: If the text is not UTF-8, or too short.
        OSError: If it cannot be read.
    """
    text = Text.of_file(data) if data else Text(_help_texts())
    # The starts of the training and of the validation text, and the end of both.
    cut, end = text.start_of(int(len(text) * (1 - VALIDATION_SHARE))), len(text)
    last = text.last_start(0, cut, LENGTH + 1)
    last_evaluated = text.last_start(cut, end, EVALUATED_LENGTH + 1)
    if last < 0 or last_evaluated < cut:
        raise ValueError(
            f"The text has {end} bytes; wanted at least "
            f"{int((EVALUATED_LENGTH + 1) / VALIDATION_SHARE) + 1} characters, "
            "of which a tenth is for validation."
        )

    def batch(step: int) -> Labelled:
        draw = generator(recipe.seed, step)
        return _windows(text, draw.integers(0, last + 1, recipe.batch_size), LENGTH)

    starts = np.linspace(cut, last_evaluated, EVALUATED).astype(int)
    evaluated = _windows(text, starts, EVALUATED_LENGTH)
    counts = text.frequencies(0, cut) + 1
    chances = counts / counts.sum()
    floor = float(-np.log(chances[evaluated.y]).mean())
    make = functools.partial(_make, vocabulary=len(text.alphabet))
    about = {"alphabet": text.alphabet}
    return Prepared(
        make, classification, batch, {"validation": evaluated}, about, floor
    )


def _make(rngs, vocabulary: int) -> models.CharacterModel:
    return models.CharacterModel(nn.LSTM, vocabulary, HIDDEN, rngs=rngs)


def _windows(text: Text, starts: np.ndarray, length: int) -> Labelled:
    """Return the characters after each start, and for each the one that follows it."""
    rows = text.windows(starts, length + 1)
    return Labelled(rows[:, :-1], rows[:, 1:])


def _help_texts() -> np.ndarray:
    """Return the language reference that `help()` shows, which every Python has."""
    from pydoc_data import topics

    text = "\n".join(topics.topics[name] for name in sorted(topics.topics))
    return np.frombuffer(text.encode(), np.uint8)


TASK = Task(
    "characters",
    Recipe(
        steps=1500,
        batch_size=32,
        learning_rate=5e-3,
        warmup=50,
        evaluate_every=250,
        checkpoint_every=250,
    ),
    prepare,
)
