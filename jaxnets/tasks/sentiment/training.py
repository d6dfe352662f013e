"""The task: its data, its recipe, and what its network says of a sentence."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from jaxnets.data.splits import split_in_tenths
from jaxnets.tasks.epochs import batches_of
from jaxnets.tasks.sentiment.floors import BagOfWords
from jaxnets.tasks.sentiment.grammar import generated_sentences
from jaxnets.tasks.sentiment.network import NAMES, Network, sentiment_loss
from jaxnets.tasks.sentiment.results import results
from jaxnets.tasks.sentiment.sentences import (
    UNKNOWN,
    coded,
    read_sentences,
    vocabulary_of,
    words_of,
)
from jaxnets.tasks.task import Prepared, SampleOptions, Sampler, Task
from jaxnets.training import Recipe


# A word belongs to the vocabulary if the training split has it at least this often.
LEAST = 2


def prepare(recipe: Recipe, data: Path | None) -> Prepared:
    """Load sentences, and draw each epoch in a new order.

    Args:
        recipe: Its seed and batch size decide the order.
        data: A file of rated sentences, such as `movieReviewSnippets_GroundTruth.txt`
            of vaderSentiment; None generates sentences of a grammar.

    Raises:
        ValueError: If the file is not of that form, or too small.
        OSError: If it cannot be read.
    """
    if data is None:
        source, (sentences, labels) = "The grammar", generated_sentences()
    else:
        source, (sentences, labels) = str(data), read_sentences(data)
    # Rows are split, because a sentence is no array.
    parts = split_in_tenths(np.arange(len(labels)), labels, source)
    training, validation, test = (
        [sentences[row] for row in np.asarray(part.x)] for part in parts
    )
    vocabulary = vocabulary_of(training, LEAST)
    train, valid, tested = (
        coded(texts, np.asarray(part.y), vocabulary)
        for texts, part in zip((training, validation, test), parts, strict=True)
    )
    batch = batches_of(recipe, train, "training sentences")
    bag = functools.cache(lambda: BagOfWords(train, len(vocabulary) + UNKNOWN + 1))

    def floors() -> dict[str, float]:
        chances = np.bincount(train.y) / len(train.y)
        frequent = float(-np.log(chances[valid.y]).mean())
        return {"floor": frequent, "bag_of_words": bag().loss(valid)}

    return Prepared(
        functools.partial(Network, vocabulary=len(vocabulary)),
        sentiment_loss,
        batch,
        {"validation": valid, "test": tested},
        {"vocabulary": vocabulary},
        floors,
        lambda model, folder: results(model, test, tested, bag()),
    )


def _made_again(rngs: nnx.Rngs, about: Mapping[str, Any]) -> Network:
    return Network(rngs, len(_vocabulary(about)))


def _judge(
    model: Network, about: Mapping[str, Any], options: SampleOptions
) -> list[str]:
    """Return what both networks say of the sentence that is the prompt."""
    vocabulary = _vocabulary(about)
    if not options.prompt or not words_of(options.prompt):
        raise ValueError(
            f"`prompt` is {options.prompt!r}; wanted an English sentence, which the "
            "networks judge."
        )
    one = coded([options.prompt], np.zeros(1, np.int32), vocabulary)
    odds = np.asarray(nnx.jit(model)(one.words, one.lengths))[0]
    chances = 1 / (1 + np.exp(-odds))
    said = (f"{name} {p:.3f}" for name, p in zip(NAMES, chances, strict=True))
    return [f"probability of praise: {', '.join(said)}"]


def _vocabulary(about: Mapping[str, Any]) -> list[str]:
    words = about.get("vocabulary")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError("The checkpoint holds no vocabulary. Train anew.")
    return words


TASK = Task(
    "sentiment",
    Recipe(
        steps=600,
        batch_size=64,
        learning_rate=3e-3,
        # Clipping by the norm of all gradients would couple the two networks.
        clip_norm=0.0,
        optimizer="adamw",
        weight_decay=0.01,
        warmup=20,
        evaluate_every=100,
        checkpoint_every=200,
    ),
    prepare,
    Sampler(_made_again, _judge),
)
