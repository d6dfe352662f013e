"""The default: numbers in words, German to English, with their alignment."""

import numpy as np

from jaxnets.tasks.translation.number_words import LIMIT, english, german
from jaxnets.training.trainer.order import generator


# Numbers for training, validation and test. Those below 100 are for training, so that
# every word is seen.
COUNTS = (8000, 300, 300)


def numbers() -> list[list[int]]:
    """Return distinct numbers for training, validation and test.

    Their logarithms are evenly spread, so that there are short and long ones.

    Example:
        >>> [len(part) for part in numbers()]
        [8000, 300, 300]
    """
    draw = generator(0, 0)
    drawn = np.exp(draw.uniform(np.log(100), np.log(LIMIT), 3 * sum(COUNTS)))
    distinct = dict.fromkeys(drawn.astype(int).tolist())
    large = list(distinct)[: sum(COUNTS) - 100]
    cut = COUNTS[1] + COUNTS[2]
    return [[*range(100), *large[cut:]], large[: COUNTS[1]], large[COUNTS[1] : cut]]


def pair(number: int) -> tuple[str, str]:
    """Return a number in German and in English.

    Example:
        >>> pair(123)
        ('einhundertdreiundzwanzig', 'one hundred twenty-three')
    """
    text = lambda parts: "".join(part.word for part in parts)
    return text(german(number)), text(english(number))


def alignment(number: int) -> list[range]:
    """Return for each English word the letters of the German word that it translates.

    Example:
        >>> alignment(23)  # twenty-three, dreiundzwanzig
        [range(7, 14), range(0, 4)]
    """
    places, start = {}, 0
    for part in german(number):
        places[part.key] = range(start, start + len(part.word))
        start += len(part.word)
    return [places[part.key] for part in english(number)]
