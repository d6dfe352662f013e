"""The bytes that one kernel reads and writes.

A kernel reads each operand once and writes its result once, in whatever memory they
lie. Two things make that less than their sizes:

- Of an operand that is only sliced it reads the slices. Where slices overlap, as the
  shifts of a window do, the caches of a GPU read memory once. A TPU has none, so there
  each slice counts: its compiler estimates 4.4 times the cycles of one pass for nine
  shifts added up in one kernel, as this count of bytes has it.
- An update in place (a `dynamic-update-slice` or `scatter` whose result is that of the
  kernel, on an operand of the kernel) neither reads nor writes what it leaves alone.

Arrays have the size that they take in memory, with the padding of a TPU's tiles.
"""

import math
from typing import NamedTuple

from jaxnets.bench.compiled.hlo import Array, Computation, Instruction, Module, arrays


SLICES = ("slice", "dynamic-slice", "gather")
# For each update in place the number of its operand that is written.
UPDATES = {"dynamic-update-slice": 1, "scatter": 2}
# Instructions whose result is their first operand, in another shape.
VIEWS = ("bitcast", "reshape", "copy-done")


class Bytes(NamedTuple):
    """Bytes that are moved.

    Attributes:
        total: In any memory.
        main: In the chip's main memory.
    """

    total: float
    main: float


def kernel_bytes(
    module: Module, computation: Computation, kernel: Instruction
) -> Bytes:
    """Return the bytes that a kernel reads and writes.

    Args:
        module: The program.
        computation: The computation that it is in.
        kernel: An instruction that reads and writes memory.
    """
    shares = _shares(module, computation, kernel, [kernel.name])
    if kernel.opcode.removesuffix("-start") == "fusion":
        inside = module.computations[kernel.called["calls"][0]]
        moved = _written(module, inside, inside.root)
    else:
        moved = _result(computation, kernel)
    # An operand that is given twice is read once.
    largest: dict[str, float] = {}
    for name, share in zip(kernel.operands, shares, strict=True):
        largest[name] = max(share, largest.get(name, 0.0))
    for name, share in largest.items():
        for array in arrays(computation.instructions[name].shape):
            moved.append((array, share * array.nbytes))
    return Bytes(
        math.fsum(size for _, size in moved),
        math.fsum(size for array, size in moved if array.space == 0),
    )


def demands(module: Module, computation: Computation) -> dict[str, float]:
    """Return for each instruction of a fusion the share of its elements that it reads.

    The users of an instruction share one reading of it, but each slice has its own. So
    on a TPU the share of a parameter may be above one. What no instruction needs is
    left out.
    """
    in_place = _updates(computation)
    whole, slices = {computation.root: 1.0}, dict[str, float]()
    for user in reversed(computation.instructions.values()):
        own = min(1.0, whole.get(user.name, 0.0) + slices.get(user.name, 0.0))
        shares = _shares(module, computation, user, in_place) if own else []
        for number, share in enumerate(shares):
            name, need = user.operands[number], own * share
            if user.opcode == "fusion" or (user.opcode in SLICES and number == 0):
                slices[name] = slices.get(name, 0.0) + need
            else:
                whole[name] = max(whole.get(name, 0.0), need)
    most = math.inf if module.platform == "tpu" else 1.0
    return {
        name: min(most, whole.get(name, 0.0) + slices.get(name, 0.0))
        for name in whole | slices
    }


def _shares(module, computation, user, in_place) -> list[float]:
    """Return the share of each operand that its user needs for its whole result."""
    if user.opcode.removesuffix("-start") == "fusion":
        inside = module.computations[user.called["calls"][0]]
        read, parameters = demands(module, inside), inside.parameters()
        return [read.get(parameters[i], 0.0) for i in range(len(user.operands))]
    return [
        _share(computation, user, number, in_place)
        for number in range(len(user.operands))
    ]


def _share(computation, user, number, in_place) -> float:
    if number == 0 and user.opcode.removesuffix("-start") in SLICES:
        whole = _elements(computation.instructions[user.operands[0]])
        return min(1.0, _elements(user) / whole) if whole else 0.0
    if number == 0 and user.opcode in UPDATES and user.name in in_place:
        return 0.0
    return 1.0


def _elements(instruction: Instruction) -> int:
    """Return the elements of an array; of several, such as an async tuple, the least.

    An instruction that starts a slice has its operand in its result too.
    """
    return min((a.elements for a in arrays(instruction.shape) if a.dims), default=1)


def _updates(computation: Computation) -> list[str]:
    """Return the names of the instructions that update an operand in place."""
    found, names = [], [computation.root]
    while names:
        each = computation.instructions[names.pop()]
        if each.opcode in VIEWS or each.opcode == "tuple":
            names += each.operands
        elif each.opcode in UPDATES:
            target = computation.instructions[each.operands[0]]
            while target.opcode in VIEWS:
                target = computation.instructions[target.operands[0]]
            if target.opcode == "parameter":
                found.append(each.name)
    return found


def _written(module, computation, name) -> list[tuple[Array, float]]:
    """Return the arrays of a fusion's result, with the bytes that it writes of each."""
    found = computation.instructions[name]
    if found.opcode == "tuple":
        parts = [_written(module, computation, part) for part in found.operands]
        return [pair for part in parts for pair in part]
    if found.opcode in VIEWS:
        target = _written(module, computation, found.operands[0])
        # The last view says where the result lies.
        (array,) = arrays(found.shape)
        sizes = [size for _, size in target]
        return [(array, min(math.fsum(sizes), float(array.nbytes)))]
    if found.opcode == "fusion":
        inside = module.computations[found.called["calls"][0]]
        sizes = [size for _, size in _written(module, inside, inside.root)]
        return list(zip(arrays(found.shape), sizes, strict=True))
    if found.name in _updates(computation):
        return _result(computation, found)
    return [(array, float(array.nbytes)) for array in arrays(found.shape)]


def _result(computation, found) -> list[tuple[Array, float]]:
    """Return what an instruction writes, an update in place only what it changes."""
    results = arrays(found.shape)
    if found.opcode in UPDATES:
        update = computation.instructions[found.operands[UPDATES[found.opcode]]]
        (array,) = results
        share = _elements(update) / max(1, array.elements)
        # A scatter reads what it adds to.
        times = 2 if found.opcode == "scatter" else 1
        return [(array, min(1.0, share) * times * array.nbytes)]
    if found.opcode.endswith("-start"):
        results = _destination(found)
    if "$" in (found.attribute(r'custom_call_target="([^"]*)"') or ""):
        # cuDNN and cuBLAS write what they want of their workspace; it is reserved.
        results = results[:1]
    return [(array, float(array.nbytes)) for array in results]


def _destination(start: Instruction) -> list[Array]:
    """Return the arrays that a copy or slice that starts here will have written.

    Its result is a tuple: of a copy the destination, the source and a context; of all
    others the operands, the results and a context.
    """
    if isinstance(start.shape, Array):
        return [start.shape]
    return arrays(start.shape[0 if start.opcode == "copy-start" else 1])
