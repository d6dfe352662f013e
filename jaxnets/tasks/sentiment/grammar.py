"""Sentences of a small grammar, whose sentiment is known."""

import numpy as np

from jaxnets.training.trainer.order import generator


PRAISE = ("good", "great", "funny", "moving", "clever", "fresh", "warm", "charming")
BLAME = ("bad", "dull", "boring", "silly", "clumsy", "stale", "cold", "annoying")
INTENSIFIERS = ("very", "really", "extremely", "truly")
NEGATIONS = ("not", "never")
SUBJECTS = ("film", "plot", "acting", "music", "ending", "dialogue", "camera", "cast")
VERBS = ("was", "seemed", "felt")
COUNT = 4000


def generated_sentences() -> tuple[list[str], np.ndarray]:
    """Return sentences of one to three clauses, and which of them praise (1) or not.

    A clause counts +1 for praise and -1 for blame, twice that with an intensifier, and
    the opposite with a negation: "the plot was not very good" counts -2. A sentence
    praises if its clauses count more than 0 together; there are none that count 0.

    A linear score of the words cannot tell them apart: it does not see which clause an
    intensifier or a negation belongs to.

    Example:
        >>> sentences, labels = generated_sentences()
        >>> sentences[0], int(labels[0])
        ('the film seemed never charming', 0)
    """
    draw = generator(0, 0)
    sentences, labels = [], []
    while len(sentences) < COUNT:
        made = [_clause(draw) for _ in range(draw.integers(1, 4))]
        total = sum(count for _, count in made)
        if total:
            clauses = [clause for clause, _ in made]
            joints = draw.choice([" and ", " but ", ", "], len(clauses) - 1)
            pairs = zip(clauses, [*joints, ""], strict=True)
            sentences.append("".join(clause + str(joint) for clause, joint in pairs))
            labels.append(int(total > 0))
    return sentences, np.array(labels, np.int32)


def _clause(draw: np.random.Generator) -> tuple[str, int]:
    """Return a clause and what it counts."""
    praises, negated, intense = draw.random(3) < 0.5
    words = ["the", draw.choice(SUBJECTS), draw.choice(VERBS)]
    words += [draw.choice(NEGATIONS)] if negated else []
    words += [draw.choice(INTENSIFIERS)] if intense else []
    words += [draw.choice(PRAISE if praises else BLAME)]
    count = 1 if bool(praises) != bool(negated) else -1
    return " ".join(map(str, words)), count * (2 if intense else 1)
