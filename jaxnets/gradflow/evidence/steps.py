"""What several steps of one network show: training, waking, and the way downhill."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxnets.gradflow.evidence.program import (
    Measured,
    Network,
    is_finite,
    moved_along,
)


# The updates after which a part that starts at zero should have a gradient. Each zero
# in a row, such as a gate and the layer after it, takes one.
WAKING = 3
# An update may be zero while gradients are collected, or where a warm-up begins. After
# so many in a row a step along the gradient takes the place of the next one.
PATIENCE = 64
WAKING_LENGTH = 0.01
# The lengths of the steps along the gradient, in units of the norm of the parameters.
LENGTHS = (1.0, 4.0, 16.0, 64.0)
Step = Callable[[Network, tuple[Any, ...]], tuple[Measured, Network]]


def measured_on(
    step: Step, network: Network, arguments: list[tuple[Any, ...]]
) -> list[Measured]:
    """Measure a network on every batch."""
    return [step(network, args)[0] for args in arguments]


def woken_arrays(
    step: Step,
    network: Network,
    arguments: list[tuple[Any, ...]],
    before: list[Measured],
) -> dict[str, float]:
    """Return log10 of the largest gradient after a few updates, of some arrays.

    These are the arrays whose gradient is exactly zero before the first update. Behind
    a part that starts at zero it is zero at first, and not after.
    """
    asleep = {
        place
        for place in before[0].arrays
        if all(measured.arrays[place].gradient == 0 for measured in before)
    }
    largest = dict.fromkeys(asleep, -np.inf)
    for _ in range(WAKING if asleep else 0):
        network = _after_moving(step, network, arguments[0])
        measured, _ = step(network, arguments[0])
        with np.errstate(divide="ignore"):
            for place in asleep:
                norm = np.log10(np.float64(measured.arrays[place].gradient))
                largest[place] = max(largest[place], float(norm))
    return largest


def _after_moving(step: Step, network: Network, args: tuple[Any, ...]) -> Network:
    """Return a network after its next update that changes an array."""
    after = network
    for _ in range(PATIENCE):
        measured, after = step(after, args)
        arrays = measured.arrays.values()
        moves = any(array.moved is None or array.moved > 0 for array in arrays)
        if moves or not any(array.gradient > 0 for array in arrays):
            return after
    return moved_along(network, measured.flow.grads, WAKING_LENGTH)


def losses_along_gradient(
    step: Step,
    network: Network,
    arguments: list[tuple[Any, ...]],
    before: list[Measured],
) -> list[float]:
    """Return the losses at longer and longer steps along the negative gradient.

    They show whether a negative loss is bounded from below; of any other none is
    computed.
    """
    flow = before[0].flow
    start = float(flow.value)
    if not (start < 0 and is_finite(before[0])):
        return []
    losses = [start]
    for length in LENGTHS:
        moved = moved_along(network, flow.grads, length)
        loss = float(step(moved, arguments[0])[0].flow.value)
        if not math.isfinite(loss):
            break
        losses.append(loss)
    return losses


def trained(
    step: Step, network: Network, arguments: list[tuple[Any, ...]], steps: int
) -> tuple[list[Any], Network]:
    """Return the loss before each update, and the network after the last."""
    losses = []
    for number in range(steps):
        measured, network = step(network, arguments[number % len(arguments)])
        losses.append(measured.flow.value)
    return losses, network
