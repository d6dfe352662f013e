"""How the task is prepared: tunes for training and validation, and its floors."""

import functools
from pathlib import Path

import jax
import numpy as np

from jaxnets import models
from jaxnets.data import Labelled
from jaxnets.tasks.character_network import CharacterRecipe, made_again
from jaxnets.tasks.music.files import read_tunes
from jaxnets.tasks.music.generated import generated_tunes
from jaxnets.tasks.music.samples import outcome
from jaxnets.tasks.music.tunes import END, TuneBatch, joined, windows
from jaxnets.tasks.ngrams import next_character_chances
from jaxnets.tasks.task import Prepared
from jaxnets.training import classification
from jaxnets.training.trainer.order import generator


# Characters of an evaluated sequence, and the number of them.
EVALUATED_LENGTH, EVALUATED = 512, 100
VALIDATION_SHARE = 0.1
ORDERS = (4, 6)
# A sample has at most so many characters, however long the tunes are.
LONGEST = 4000


def prepare(recipe: CharacterRecipe, data: Path | None) -> Prepared:
    """Load tunes, hold out a tenth of them, and draw windows of the others.

    Args:
        recipe: Its seed, batch size and length decide the windows.
        data: A file in ABC notation, or a folder of files `*.abc`; None makes tunes.

    Raises:
        ValueError: If a file is not of that form, or there are too few tunes.
        OSError: If a file cannot be read.
    """
    made = [] if data else generated_tunes()
    texts = read_tunes(data) if data else [tune.text for tune in made]
    order = generator(0, 0).permutation(len(texts))
    held = max(int(len(texts) * VALIDATION_SHARE), 1)
    alphabet = sorted(set("".join(texts) + END))
    training = joined([texts[k] for k in order[held:]], alphabet)
    validation = joined([texts[k] for k in order[:held]], alphabet)
    last = len(training.begins) - recipe.length
    length = min(EVALUATED_LENGTH, len(validation.begins))
    if len(texts) < 2 or last < 0:
        raise ValueError(
            f"{data} has {len(texts)} tunes of {len(''.join(texts))} characters; "
            f"wanted at least 2, and {recipe.length} characters for training."
        )

    def batch(step: int) -> TuneBatch:
        draw = generator(recipe.seed, step)
        starts = draw.integers(0, last + 1, recipe.batch_size)
        return windows(training, starts, recipe.length)

    count = min(len(validation.begins) // length, EVALUATED)
    evaluated = windows(validation, np.arange(count) * length, length)
    usual = np.quantile([len(text) for text in texts], 0.99)
    about = {
        "alphabet": list(map(ord, alphabet)),
        "longest": min(int(usual) + len(END), LONGEST),
        "network": recipe.network,
    }

    def floors() -> dict[str, float]:
        found = _floors(training.codes, evaluated, len(alphabet))
        if made:
            held_out = [made[k] for k in order[:held]]
            characters = sum(len(tune.text + END) for tune in held_out)
            found["optimum"] = sum(tune.nats for tune in held_out) / characters
        return found

    return Prepared(
        functools.partial(made_again, about=about),
        loss,
        batch,
        {"validation": evaluated},
        about,
        floors,
        functools.partial(outcome, about=about, evaluated=evaluated, texts=texts),
    )


def _floors(
    training: np.ndarray, evaluated: TuneBatch, classes: int
) -> dict[str, float]:
    """Return the loss of the frequencies of characters, and those of n-grams."""
    counts = np.bincount(training, minlength=classes) + 1
    found = {"floor": float(-np.log(counts / counts.sum())[evaluated.y].mean())}
    rows = np.concatenate([evaluated.x[:, :1], evaluated.y], axis=1)
    for order in ORDERS:
        chances = next_character_chances(training, rows, classes, order)[:, 1:]
        found[f"{order}_gram"] = float(-np.log(chances).mean())
    return found


def loss(
    model: models.CharacterModel, batch: TuneBatch
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the cross-entropy in nats a character, and the accuracy.

    The memory is cleared where a tune begins, because it knows nothing of others.
    """
    logits = lambda x: model.advance(None, x, resets=batch.resets)[1]
    return classification(logits, Labelled(batch.x, batch.y))
