"""The schedule of binomial checkpoints: which states are stored, and when.

A state is stored in one of c slots, which form a stack. To pull back through block l,
the program reads the state on top of the stack, which is the one before some block
`start <= l`, applies the blocks from there to l, and stores states on the way. With the
best places it applies at most r blocks for each block, where r is the least number with
`binomial(c + r, c) >= count`.
"""

import math
from typing import NamedTuple

import numpy as np


class Schedule(NamedTuple):
    """What the two passes do; the slot number c stands for no slot.

    Attributes:
        forward: For each block the slot that stores the state before it in the forward
            pass, `(count,)`.
        slots: For each block l the slot that its recomputation starts from, `(count,)`.
        starts: The number of the block whose input is there, `(count,)`.
        offsets: The place in `saves` of the first block that is applied, `(count,)`.
        saves: For each block that is applied in the backward pass, one after the other,
            the slot that stores the state after it.
    """

    forward: np.ndarray
    slots: np.ndarray
    starts: np.ndarray
    offsets: np.ndarray
    saves: np.ndarray


def schedule(count: int, snapshots: int) -> Schedule:
    """Return the schedule for `count` blocks with `snapshots` slots.

    Source: Griewank and Walther 2000, "Algorithm 799: Revolve: An Implementation of
    Checkpointing for the Reverse or Adjoint Mode of Computational Differentiation".
    """
    stored = [0]
    forward = np.full(count, snapshots)
    forward[0] = 0
    for number in _push(stored, count - 1, snapshots):
        forward[number] = len(stored) - 1
    slots, starts, offsets = np.zeros((3, count), int)
    saves: list[int] = []
    for block in reversed(range(count)):
        slots[block], starts[block] = len(stored) - 1, stored[-1]
        offsets[block] = len(saves)
        own = np.full(block - stored[-1], snapshots)
        for number in _push(stored, block, snapshots):
            own[number - starts[block] - 1] = len(stored) - 1
        saves += own.tolist()
        if stored[-1] == block:
            stored.pop()
    arrays = forward, slots, starts, offsets, [*saves, snapshots]
    return Schedule(*(np.asarray(array, np.int32) for array in arrays))


def _push(stored: list[int], block: int, snapshots: int):
    """Store states between the top of the stack and `block`; yield their numbers."""
    while len(stored) < snapshots and stored[-1] < block:
        free = snapshots - len(stored) + 1
        stored.append(stored[-1] + _first_part(block + 1 - stored[-1], free))
        yield stored[-1]


def _first_part(count: int, slots: int) -> int:
    """Return after how many of `count` blocks to store the next state.

    The state before them is in one of `slots` slots; the others are free.
    """
    most = lambda slots, repeats: (
        math.comb(slots + repeats, slots) if repeats >= 0 else 0
    )
    repeats = 1
    while most(slots, repeats) < count:
        repeats += 1
    return max(1, count - most(slots - 1, repeats), most(slots, repeats - 2))
