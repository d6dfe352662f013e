"""Characters: a recurrent network that predicts the next character of a text."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets import models
from jaxnets.data import Labelled
from jaxnets.runs import exhibits
from jaxnets.tasks.character_network import CharacterRecipe, made_again
from jaxnets.tasks.ngrams import next_character_chances
from jaxnets.tasks.task import Outcome, Prepared, SampleOptions, Sampler, Task
from jaxnets.tasks.text import Text
from jaxnets.tasks.writing import alphabet_of, draw_texts, marked_passage, write_page
from jaxnets.training import classification
from jaxnets.training.trainer.order import generator


# Steps of an evaluated sequence, and the number of them.
EVALUATED_LENGTH, EVALUATED = 256, 64
VALIDATION_SHARE = 0.1
# Bytes of the training text whose 5-grams are counted.
COUNTED = 2**22


def prepare(recipe: CharacterRecipe, data: Path | None) -> Prepared:
    """Cut a text into training and validation, and draw windows of the first.

    Args:
        recipe: Its seed, batch size and length decide the windows.
        data: A text in UTF-8, which stays in its file; None takes Python's own help
            texts.

    Raises:
        ValueError: If the text is not UTF-8, or too short.
        OSError: If it cannot be read.
    """
    text = Text.of_file(data) if data else Text(_help_texts())
    # The starts of the training and of the validation text, and the end of both.
    cut, end = text.start_of(int(len(text) * (1 - VALIDATION_SHARE))), len(text)
    last = text.last_start(0, cut, recipe.length + 1)
    last_evaluated = text.last_start(cut, end, EVALUATED_LENGTH + 1)
    if last < 0 or last_evaluated < cut:
        raise ValueError(
            f"The text has {end} bytes; wanted at least "
            f"{int((EVALUATED_LENGTH + 1) / VALIDATION_SHARE) + 1} characters, "
            "of which a tenth is for validation."
        )

    def batch(step: int) -> Labelled:
        draw = generator(recipe.seed, step)
        starts = draw.integers(0, last + 1, recipe.batch_size)
        return _windows(text, starts, recipe.length)

    starts = np.linspace(cut, last_evaluated, EVALUATED).astype(int)
    evaluated = _windows(text, starts, EVALUATED_LENGTH)
    # As numbers, because reading JSON changes characters that steer a terminal.
    about = {"alphabet": list(map(ord, text.alphabet)), "network": recipe.network}
    floors = functools.partial(_floors, text, cut, evaluated)
    outcome = functools.partial(_outcome, about=about, evaluated=evaluated)
    return Prepared(
        functools.partial(made_again, about=about),
        classification,
        batch,
        {"validation": evaluated},
        about,
        floors,
        outcome,
    )


def _outcome(
    model: models.CharacterModel,
    folder: Path,
    *,
    about: dict[str, Any],
    evaluated: Labelled,
) -> Outcome:
    """Show a sample, the losses of a passage, and a page to write on."""
    [text] = draw_texts(model, about, SampleOptions())
    x, y = evaluated.x[:1], evaluated.y[:1]
    return Outcome(
        {},
        [
            exhibits.Text(
                "A sample", "Written by the network at temperature 0.8.", text
            ),
            marked_passage(model, x, y, alphabet_of(about)),
            *write_page(model, about, folder),
        ],
    )


def _floors(text: Text, cut: int, evaluated: Labelled) -> dict[str, float]:
    """Return the loss of the frequencies of characters, and that of 5-grams."""
    counts = text.frequencies(0, cut) + 1
    frequencies = counts / counts.sum()
    training = text.codes(0, text.start_of(min(cut, COUNTED)))
    rows = np.concatenate([evaluated.x[:, :1], evaluated.y], axis=1)
    chances = next_character_chances(training, rows, len(counts), 5)[:, 1:]
    loss = lambda p: float(-np.log(p).mean())
    return {"floor": loss(frequencies[evaluated.y]), "5_gram": loss(chances)}


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
    CharacterRecipe(
        steps=3200,
        batch_size=16,
        learning_rate=5e-3,
        warmup=50,
        evaluate_every=800,
        checkpoint_every=400,
        hidden=256,
        layers=1,
        length=128,
    ),
    prepare,
    Sampler(made_again, draw_texts),
)
