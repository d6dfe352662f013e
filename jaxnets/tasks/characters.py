"""Characters: a recurrent network that predicts the next character of a text."""

import functools
from pathlib import Path

import numpy as np

from jaxnets import models, nn
from jaxnets.data import Labelled
from jaxnets.tasks.task import Prepared, Task, generator
from jaxnets.training import Recipe, classification


# Steps of a training sequence, and of those that are evaluated.
LENGTH, EVALUATED_LENGTH, EVALUATED = 64, 256, 16
HIDDEN = 192
VALIDATION_SHARE = 0.1


def prepare(recipe: Recipe, data: Path | None) -> Prepared:
    """Cut a text into training and validation, and draw windows of the first.

    Args:
        recipe: Its seed and batch size decide the windows.
        data: A text in UTF-8; None takes Python's own help texts.

    Raises:
        ValueError: If the text is not UTF-8, or too short.
        OSError: If it cannot be read.
    """
    text = _help_texts() if data is None else _read(data)
    alphabet = sorted(set(text))
    codes = {character: code for code, character in enumerate(alphabet)}
    ids = np.fromiter(map(codes.__getitem__, text), np.int32, len(text))
    cut = int(len(ids) * (1 - VALIDATION_SHARE))
    training, validation = ids[:cut], ids[cut:]
    least = EVALUATED_LENGTH + 1
    if len(validation) < least:
        raise ValueError(
            f"The text has {len(text)} characters; wanted at least "
            f"{int(least / VALIDATION_SHARE) + 1}, of which a tenth is for validation."
        )

    def batch(step: int) -> Labelled:
        draw = generator(recipe.seed, step)
        starts = draw.integers(0, len(training) - LENGTH, recipe.batch_size)
        return _windows(training, starts, LENGTH)

    starts = np.linspace(0, len(validation) - least, EVALUATED).astype(int)
    evaluated = _windows(validation, starts, EVALUATED_LENGTH)
    counts = np.bincount(training, minlength=len(alphabet)) + 1
    chances = counts / counts.sum()
    floor = float(-np.log(chances[evaluated.y]).mean())
    make = functools.partial(_make, vocabulary=len(alphabet))
    about = {"alphabet": "".join(alphabet)}
    return Prepared(
        make, classification, batch, {"validation": evaluated}, about, floor
    )


def _make(rngs, vocabulary: int) -> models.CharacterModel:
    return models.CharacterModel(nn.LSTM, vocabulary, HIDDEN, rngs=rngs)


def _windows(ids: np.ndarray, starts: np.ndarray, length: int) -> Labelled:
    """Return the characters after each start, and for each the one that follows it."""
    rows = ids[starts[:, None] + np.arange(length + 1)]
    return Labelled(rows[:, :-1], rows[:, 1:])


def _help_texts() -> str:
    """Return the language reference that `help()` shows, which every Python has."""
    from pydoc_data import topics

    return "\n".join(topics.topics[name] for name in sorted(topics.topics))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in UTF-8: {error}.") from error
    except IsADirectoryError as error:
        raise ValueError(f"{path} is a folder; wanted a text file.") from error


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
