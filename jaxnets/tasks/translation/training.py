"""The data, the floors and the recipe of the task."""

import functools
from pathlib import Path

import numpy as np

from jaxnets.tasks.decoder import END, contrast_loss, measure_attentive
from jaxnets.tasks.epochs import batches_of
from jaxnets.tasks.task import Prepared
from jaxnets.tasks.translation.files import read_corpus
from jaxnets.tasks.translation.generated import numbers, pair
from jaxnets.tasks.translation.network import Sizes, make_network
from jaxnets.tasks.translation.number_words import english
from jaxnets.tasks.translation.results import outcome
from jaxnets.tasks.translation.sentences import Corpus, Sentences
from jaxnets.tasks.translation.vocabulary import Pieces
from jaxnets.training import Recipe


# For the default, and for the user's files.
FEATURES, HIDDEN, DROPOUT = (32, 256), (64, 256), (0.0, 0.3)
# Longest sentence in training, in tokens.
MOST = 100


def prepare(recipe: Recipe, data: Path | None) -> Prepared:
    """Load pairs of sentences, and draw each epoch in a new order.

    Args:
        recipe: Its seed and batch size decide the order.
        data: A folder with the files of Multi30k, German and English; None generates
            numbers in words.

    Raises:
        ValueError: If a file is not what it should be, or there are too few pairs.
        OSError: If it cannot be read.
        ImportError: If `data` is given and a package for it is missing.
    """
    own = data is not None
    corpus = generated() if data is None else read_corpus(data)
    training = corpus.encoded(corpus.train, corpus.most)
    pairs = f"pairs of at most {corpus.most} tokens for training"
    batch = batches_of(recipe, training, pairs)
    evaluation = {
        "validation": corpus.encoded(corpus.validation),
        "test": corpus.encoded(corpus.test),
    }

    sizes = Sizes(
        *(vocabulary.size for vocabulary in corpus.vocabularies),
        *(values[own] for values in (FEATURES, HIDDEN, DROPOUT)),
        contrasts=not own,
    )
    about = {
        "vocabularies": [vocabulary.about() for vocabulary in corpus.vocabularies],
        "sizes": list(sizes),
        "example": corpus.validation[0][0],
    }
    make = functools.partial(make_network, sizes=sizes)
    floors = functools.partial(
        _floors, training, evaluation["validation"], sizes.target
    )
    results = functools.partial(outcome, corpus)
    return Prepared(
        make,
        contrast_loss,
        batch,
        evaluation,
        about,
        floors,
        results,
        measure_attentive,
    )


def generated() -> Corpus:
    """Return numbers in words: German by letters, and English by words."""
    split = numbers()
    every = [number for part in split for number in part]
    letters = {letter for number in every for letter in pair(number)[0]}
    words = {part.word for number in every for part in english(number)}
    vocabularies = Pieces(sorted(letters), "German"), Pieces(sorted(words), "English")
    train, validation, test = ([pair(number) for number in part] for part in split)
    return Corpus(vocabularies, train, validation, test, MOST)


def _floors(
    training: Sentences, validation: Sentences, target: int
) -> dict[str, float]:
    """Return the losses of two tables: of the tokens, and of what follows each token.

    Args:
        training: Sentences that are counted.
        validation: Sentences whose loss is returned.
        target: Number of tokens of the target.
    """
    counts = np.zeros((target, target))
    np.add.at(counts, _neighbours(training), 1)
    alone = (counts.sum(axis=0) + 1) / (counts.sum() + target)
    # Smoothed, so that pairs that were not seen have a chance.
    after = (counts + alone) / (counts.sum(axis=1, keepdims=True) + 1)
    before, token = _neighbours(validation)
    return {
        "floor": float(-np.log(alone[token]).mean()),
        "token_before": float(-np.log(after[before, token]).mean()),
    }


def _neighbours(sentences: Sentences) -> tuple[np.ndarray, np.ndarray]:
    """Return the token before each target, and the targets."""
    tokens, lengths = sentences.targets, sentences.target_lengths[:, None]
    real = np.arange(tokens.shape[1]) < lengths
    before = np.pad(tokens[:, :-1], ((0, 0), (1, 0)), constant_values=END)
    return before[real], tokens[real]
