"""The scenes and the floors of the task."""

import collections
import functools
from pathlib import Path

import numpy as np

from jaxnets.data import Labelled, digits
from jaxnets.tasks.captions.network import astray, make_network
from jaxnets.tasks.captions.results import outcome
from jaxnets.tasks.captions.scenes import (
    LAYOUTS,
    WORDS,
    Scenes,
    caption,
    scenes,
    varied,
)
from jaxnets.tasks.decoder import contrast_loss, measured
from jaxnets.tasks.task import Prepared
from jaxnets.training import Recipe
from jaxnets.training.trainer.order import generator


# Scenes that are evaluated, and those that the frequencies of words are counted in.
EVALUATED, COUNTED = 1000, 2000
HELD_OUT = 2**32 - 1


def prepare(recipe: Recipe, data: Path | None) -> Prepared:
    """Draw the scenes of each update from scikit-learn's digits.

    The digits of validation and test scenes are in no scene of training, and those of
    training vary, because there are few.

    Args:
        recipe: Its seed and batch size decide the scenes.
        data: Must be None, because the scenes are generated.

    Raises:
        ValueError: If `data` is given.
    """
    if data is not None:
        raise ValueError("The scenes are generated, so captions take no --data.")
    splits = digits()
    train = Labelled(*map(np.asarray, splits.train))

    def batch(step: int) -> Scenes:
        draw = generator(recipe.seed, step)
        rows = draw.integers(len(train.y), size=len(LAYOUTS) * recipe.batch_size)
        found = varied(Labelled(train.x[rows], train.y[rows]), draw)
        return scenes(found, recipe.batch_size, draw)

    held_out = generator(HELD_OUT, 0)
    draw = lambda source: scenes(source, EVALUATED, held_out)
    validation, test = draw(splits.validation), draw(splits.test)
    counted = scenes(splits.train, COUNTED, generator(HELD_OUT, 1))
    frequent = collections.Counter(caption(words) for words in counted.targets)
    results = lambda model, folder: outcome(test, frequent.most_common(1)[0][0], model)
    floors = functools.partial(_floors, counted, validation)
    evaluation = {"validation": validation, "test": test}
    return Prepared(
        make_network,
        functools.partial(contrast_loss, penalty=astray),
        batch,
        evaluation,
        {},
        floors,
        results,
        functools.partial(measured, penalty=astray),
    )


def _floors(counted: Scenes, validation: Scenes) -> dict[str, float]:
    """Return the loss of the frequencies of words at each place of a caption."""
    place, word = _words(counted)
    counts = np.ones((counted.targets.shape[1], len(WORDS)))
    np.add.at(counts, (place, word), 1)
    chances = counts / counts.sum(axis=1, keepdims=True)
    return {"floor": float(-np.log(chances[_words(validation)]).mean())}


def _words(found: Scenes) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the words in their captions, and the words."""
    places = np.arange(found.targets.shape[1])
    real = places < found.target_lengths[:, None]
    return np.nonzero(real)[1], found.targets[real]
