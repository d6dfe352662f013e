"""The default tunes: random melodies in a scale, with bars of the right length."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnets.training.trainer.order import generator


# The rhythms of a bar of each metre, in eighths.
RHYTHMS = {
    "2/4": ([2, 2], [1, 1, 2], [2, 1, 1], [1, 1, 1, 1]),
    "3/4": ([2, 2, 2], [4, 2], [2, 1, 1, 2], [1, 1, 2, 2]),
    "6/8": ([3, 3], [2, 1, 2, 1], [1, 1, 1, 3], [2, 1, 3]),
}
# The place of the keynote of each key among the notes.
KEYS = {"C": 7, "D": 8, "F": 3, "G": 4}
NOTES, STEPS = "CDEFGABcdefgab", (-2, -1, 1, 2)
# All bars but the last are drawn; that has the keynote.
BARS, BARS_OF_A_LINE, COUNT = 8, 4, 3000


class Generated(NamedTuple):
    """A tune, and minus the logarithm of its probability among all such tunes."""

    text: str
    nats: float


def generated_tunes() -> list[Generated]:
    """Return tunes in ABC notation.

    Example:
        >>> print(generated_tunes()[0].text)
        X:1
        M:2/4
        ...
    """
    draw = generator(0, 0)
    return [_tune(draw) for _ in range(COUNT)]


def _drawn(draw: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(draw.integers(len(choices)))]


def _tune(draw: np.random.Generator) -> Generated:
    """Return a tune whose key, metre, rhythms and steps are drawn, each evenly."""
    metre, key = _drawn(draw, [*RHYTHMS]), _drawn(draw, [*KEYS])
    nats, place = math.log(len(RHYTHMS) * len(KEYS)), KEYS[key]
    bars = []
    for _ in range(BARS - 1):
        rhythms = RHYTHMS[metre]
        nats += math.log(len(rhythms))
        bar = ""
        for length in _drawn(draw, rhythms):
            if bars or bar:
                steps = [step for step in STEPS if 0 <= place + step < len(NOTES)]
                nats += math.log(len(steps))
                place += _drawn(draw, steps)
            bar += NOTES[place] + (str(length) if length > 1 else "")
        bars.append(bar)
    bars.append(f"{NOTES[KEYS[key]]}{sum(RHYTHMS[metre][0])}")
    first, second = bars[:BARS_OF_A_LINE], bars[BARS_OF_A_LINE:]
    body = f"{'|'.join(first)}|\n{'|'.join(second)}|]"
    return Generated(f"X:1\nM:{metre}\nL:1/8\nK:{key}\n{body}", nats)
