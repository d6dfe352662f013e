"""What the page of a run shows: the networks beside the bag of words, word by word."""

import numpy as np
from flax import nnx

from jaxnets.runs.exhibits import Exhibit, Marked, Matrix
from jaxnets.tasks.sentiment.floors import BagOfWords
from jaxnets.tasks.sentiment.network import NAMES, Network, sentiment_loss, word_effects
from jaxnets.tasks.sentiment.sentences import Sentences, words_of
from jaxnets.tasks.task import Outcome


# Number of sentences that are shown word by word.
SHOWN = 2


def results(
    model: Network,
    sentences: list[str],
    test: Sentences,
    bag: BagOfWords,
) -> Outcome:
    """Return the accuracies of the test split, and what the words of a few add.

    Args:
        model: The trained network.
        sentences: The sentences of the test split.
        test: The same as codes.
        bag: The baseline.
    """
    _, figures = nnx.jit(sentiment_loss)(model, test)
    accuracies = {
        "bag of words": bag.accuracy(test),
        **{name: float(figures[f"{name}_accuracy"]) for name in NAMES},
    }
    table = Matrix(
        "Accuracy on the test split",
        "The bag of words does not see the order of the words, which decides what a "
        "negation or an intensifier belongs to.",
        list(accuracies),
        ["accuracy"],
        [[accuracy] for accuracy in accuracies.values()],
        "share",
    )
    # The longest sentences have most to tell.
    order = np.argsort(-np.asarray(test.lengths), kind="stable")
    shown = [
        exhibit
        for row in order[:SHOWN].tolist()
        for exhibit in _marked(model, sentences[row], test, row)
    ]
    return Outcome({"floor_accuracy": accuracies["bag of words"]}, [table, *shown])


def _marked(model: Network, sentence: str, test: Sentences, row: int) -> list[Exhibit]:
    """Return a sentence with what each of its words adds, for each network."""
    length = int(np.asarray(test.lengths)[row])
    effects = word_effects(model, np.asarray(test.words)[row, :length])
    praises = "praise" if np.asarray(test.y)[row] else "blame"
    largest = np.abs(effects).max(axis=0) + 1e-9
    return [
        Marked(
            f"What each word adds: {name}",
            f"A sentence of {praises}. The number of a word is by how much the "
            "log-odds of praise fall without it, as a share of the largest, "
            f"{largest[k]:.2g}.",
            [f"{word} " for word in words_of(sentence)[:length]],
            (effects[:, k] / largest[k]).tolist(),
            "share",
        )
        for k, name in enumerate(NAMES)
    ]
