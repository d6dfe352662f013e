"""What is wrong in a step of a training, by the rules of `verdicts`."""

import math
from collections import deque

import numpy as np

from jaxnets.gradflow.diagnosis import nonfinite
from jaxnets.gradflow.diagnosis.profiles import TENFOLD
from jaxnets.gradflow.diagnosis.vanishing import CUT_REASON, CUT_REMEDY
from jaxnets.gradflow.diagnosis.verdict import Verdict
from jaxnets.gradflow.monitoring.numbers import (
    Numbers,
    first_nonfinite,
    gradient_norm,
)


# So many measured steps make the running median, and so few are too few for one.
WINDOW, FEWEST = 64, 8
STAGES = {
    "inputs": "The batch has numbers that are not finite.",
    "weights": "A weight is not finite before the update: {place} is the first.",
    "forward": "The loss is not finite: {place} is the first layer whose output is not "
    "finite.",
    "loss": "The loss is not finite, although the outputs of all measured layers are: "
    "look at the loss function itself.",
    "backward": "The gradient is not finite, although the loss is: it starts in the "
    "derivative of what follows the output of {place}.",
    "gradient": "The gradient of a parameter is not finite, although that of every "
    "layer's output is: {place} is the first.",
}
INPUTS_REMEDY = (
    "Look at the data and what prepares it, for missing values and for divisions by a "
    "standard deviation of zero."
)
EXPLODING_REMEDY = (
    "Clip the gradient's norm, lower the learning rate or warm it up, and look at the "
    "examples of this batch."
)
EXPLODING_REASON = "An update ten times as large as usual undoes many of the others."


class Alarms:
    """Remembers the steps before, and says what is wrong in a step and was not yet."""

    def __init__(self, name: str):
        self._name = name
        self._norms: deque[float] = deque(maxlen=WINDOW)
        # The taps whose gradient was zero in the last step, the norms of the parameters
        # in it, and the taps reported.
        self._zero: frozenset[str] = frozenset()
        self._sizes: list[float] = []
        self._reported: set[str] = set()

    def of(self, numbers: Numbers, step: int) -> list[Verdict]:
        """Return the alarms of the step number `step`."""
        found = self._nonfinite(numbers, step)
        if found or "non-finite" in self._reported:
            return found
        return self._exploding(numbers, step) + self._dead(numbers, step)

    def _verdict(self, kind: str, step: int, place: str, **fields) -> Verdict:
        where = f"{self._name}, step {step}" + (f", {place}" if place else "")
        return Verdict(kind=kind, where=where, study="model", **fields)

    def _nonfinite(self, numbers: Numbers, step: int) -> list[Verdict]:
        found = first_nonfinite(numbers)
        if found is None or "non-finite" in self._reported:
            return []
        self._reported.add("non-finite")
        stage, place = found
        # Without taps the loss alone says nothing about the layers.
        sentence = STAGES[stage].format(place=place)
        if stage == "loss" and not numbers.norms:
            sentence = "The loss is not finite. The layers were not measured."
        verdict = self._verdict(
            "non-finite",
            step,
            place or "",
            severity="fault",
            number=float(numbers.loss),
            sentence=sentence,
            remedy=INPUTS_REMEDY if stage == "inputs" else nonfinite.REMEDY,
            reason=nonfinite.REASON,
            other_cause="" if stage == "inputs" else nonfinite.OTHER_CAUSE,
        )
        return [verdict]

    def _exploding(self, numbers: Numbers, step: int) -> list[Verdict]:
        norm = gradient_norm(numbers)
        usual = float(np.median(self._norms)) if len(self._norms) >= FEWEST else 0.0
        self._norms.append(norm)
        exploding = usual > 0 and norm > 10**TENFOLD * usual
        # Once for each excursion, not once for each of its steps.
        before = "exploding" in self._reported
        self._reported.discard("exploding")
        if not exploding:
            return []
        self._reported.add("exploding")
        if before:
            return []
        sizes = {name: float(array.gradient) for name, array in numbers.arrays.items()}
        largest = max(sizes, key=lambda name: sizes[name])
        share = 100 * (sizes[largest] / norm) ** 2
        verdict = self._verdict(
            "exploding",
            step,
            largest,
            severity="warning",
            number=norm / usual,
            sentence=f"The gradient's norm is {norm:.3g}, {norm / usual:.3g} times its "
            f"median over the last {len(self._norms) - 1} measured steps; {largest} "
            f"has {share:.0f} % of its square.",
            remedy=EXPLODING_REMEDY,
            threshold=10**TENFOLD,
            reason=EXPLODING_REASON,
        )
        return [verdict]

    def _dead(self, numbers: Numbers, step: int) -> list[Verdict]:
        """Judge the taps whose gradient is exactly zero in two steps one after another.

        A layer that starts at zero passes no gradient back until it has moved, which it
        does not while a rate is zero, or gradients are collected for a later update.
        """
        zero = frozenset(t for t, norm in numbers.norms.items() if not np.any(norm))
        sizes = [float(array.weight) for array in numbers.arrays.values()]
        dead = (zero & self._zero) - self._reported
        moved = not sizes or sizes != self._sizes
        self._zero, self._sizes = zero, sizes
        # If no tap gets a gradient, the loss is flat: the task may be solved.
        if not (dead and moved) or len(zero) == len(numbers.norms):
            return []
        self._reported |= dead
        last = [tap for tap in numbers.norms if tap in dead][-1]
        return [
            self._verdict(
                "dead",
                step,
                last,
                severity="fault",
                number=0.0,
                sentence=f"The gradient at the output of {last} is exactly zero in two "
                f"measured steps one after another, so it passes no gradient on. This "
                f"holds at {len(zero)} of {len(numbers.norms)} taps.",
                remedy=CUT_REMEDY,
                threshold=-math.inf,
                reason=CUT_REASON,
            )
        ]
