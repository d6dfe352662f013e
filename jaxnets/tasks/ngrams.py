"""Probabilities of the next character from counts: what a network has to beat."""

import numpy as np


def next_character_chances(
    training: np.ndarray, rows: np.ndarray, classes: int, order: int
) -> np.ndarray:
    """Return the probability that an n-gram model gives to each character of `rows`.

    Of a context h of up to `order - 1` characters with N(h) occurrences, after which
    D(h) different characters have come, a character c with N(h c) occurrences has

        p(c | h) = (N(h c) + D(h) p(c | h')) / (N(h) + D(h))

    where h' is h without its first character. A context that has not occurred leaves
    `p(c | h')`, and before the empty context p is `1 / classes`.

    Args:
        training: Ids of the characters that are counted, `(N,)`.
        rows: Ids of the characters to predict, `(B, L)`. The context of a character
            does not reach back before its row.
        classes: Number of ids.
        order: n, the characters of an n-gram.

    Returns:
        Float64 of the shape of `rows`.

    Example:
        >>> text = np.array([0, 1, 0, 1, 0, 0])
        >>> next_character_chances(text, np.array([[0, 1]]), 2, 2).round(3)
        array([[0.625, 0.55 ]])

    Source: Witten and Bell 1991, "The Zero-Frequency Problem", method C, interpolated
    as in Chen and Goodman 1999, "An Empirical Study of Smoothing Techniques for
    Language Modeling", section 2.6.
    """
    chances = np.full(rows.shape, 1 / classes)
    # Contexts are numbered. Those of `training` belong to its characters from k on, and
    # -1 is a context that has not occurred there.
    contexts = np.zeros(len(training), np.int64)
    sought = np.zeros(rows.shape, np.int64)
    for k in range(min(order, len(training))):
        grams, number_of, counts = np.unique(
            contexts * classes + training[k:], return_inverse=True, return_counts=True
        )
        of_context = grams // classes
        occurrences = np.bincount(of_context, counts)
        followers = np.bincount(of_context)
        wanted = sought * classes + rows
        places = np.searchsorted(grams, wanted).clip(max=len(grams) - 1)
        found = (grams[places] == wanted) & (sought >= 0)
        count = np.where(found, counts[places], 0)
        seen, more = occurrences[sought], followers[sought]
        better = (count + more * chances) / (seen + more)
        chances = np.where(sought >= 0, better, chances)
        # The n-gram that ends at a character is the context of the next one.
        # That of the last character has none, and may have occurred only there.
        contexts = number_of[:-1]
        longer = np.where(found & np.isin(places, contexts), places, -1)
        sought = np.full_like(sought, -1)
        sought[:, 1:] = longer[:, :-1]
    return chances
