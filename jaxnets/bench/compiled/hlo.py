"""Reads the text of a compiled program into computations and instructions."""

import dataclasses
import math
import re
from typing import NamedTuple


# The bits of an element of each dtype whose name does not contain them, as "f32" does.
BITS = {"pred": 8, "token": 0, "opaque": 0}
ARRAY = re.compile(r"([a-z]\w*)\[([\d,<=]*)\](?:\{([^}]*)\})?")
INSTRUCTION = re.compile(r"\s+(ROOT )?%([\w.\-$]+) = (.*)")
HEADER = re.compile(r"(ENTRY )?%([\w.\-$]+) \(.*\{$")
NAME = re.compile(r"%([\w.\-$]+)")
CALLED = re.compile(
    r"\b(calls|to_apply|body|condition|\w+_computations?)=(\{[^}]*\}|%\S+)"
)
# Instructions that only name what others have computed.
NAMES = (
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("add-dependency", "optimization-barrier", "partition-id", "replica-id", "domain"),
)


class Array(NamedTuple):
    """The shape of one array and how it lies in memory.

    Attributes:
        dtype: Such as "f32" or "bf16".
        dims: The length of each axis.
        order: The axes, the fastest first.
        tile: The lengths that the last axes in memory are padded to a multiple of.
        space: The memory space; 0 is the chip's main memory. On a TPU 1 is VMEM.
    """

    dtype: str
    dims: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    tile: tuple[int, ...] = ()
    space: int = 0

    @property
    def elements(self) -> int:
        """The number of elements."""
        return math.prod(self.dims)

    @property
    def nbytes(self) -> int:
        """The bytes that it takes, with the padding of its tiles."""
        bits = BITS.get(self.dtype)
        if bits is None:
            bits = int(re.findall(r"\d+", self.dtype)[0])
        lengths = [self.dims[axis] for axis in self.order] or list(self.dims)
        for i, least in enumerate(reversed(self.tile)):
            if i < len(lengths):
                lengths[i] = -(-lengths[i] // least) * least
        return math.prod(lengths) * bits // 8


# A tuple of shapes nests.
Shape = Array | tuple["Shape", ...]


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: Its name, without %.
        shape: The shape of its result.
        opcode: What it does, such as "fusion".
        operands: The names of its operands.
        literal: The text between its brackets, such as the value of a constant.
        attributes: The text after them.
    """

    name: str
    shape: Shape
    opcode: str
    operands: tuple[str, ...]
    literal: str
    attributes: str

    @property
    def called(self) -> dict[str, tuple[str, ...]]:
        """The computations that it calls, by what they are for."""
        found = CALLED.findall(self.attributes)
        return {word: tuple(NAME.findall(names)) for word, names in found}

    def attribute(self, pattern: str) -> str | None:
        """Return the first group of a regular expression in the attributes."""
        found = re.search(pattern, self.attributes)
        return found and found[1]


@dataclasses.dataclass
class Computation:
    """A list of instructions, each after its operands.

    Attributes:
        instructions: The instructions, by name.
        root: The name of the one whose result is that of the computation.
    """

    instructions: dict[str, Instruction] = dataclasses.field(default_factory=dict)
    root: str = ""

    def operands(self, instruction: Instruction) -> list[Instruction]:
        """Return the operands of an instruction."""
        return [self.instructions[name] for name in instruction.operands]

    def parameters(self) -> dict[int, str]:
        """Return the names of the parameters, by number."""
        return {
            int(each.literal): each.name
            for each in self.instructions.values()
            if each.opcode == "parameter"
        }


class Module(NamedTuple):
    """A compiled program.

    Attributes:
        computations: All computations, by name.
        entry: The name of the one that runs.
        platform: "tpu" or "cuda".
    """

    computations: dict[str, Computation]
    entry: str
    platform: str


def arrays(shape: Shape) -> list[Array]:
    """Return the arrays of a shape."""
    if isinstance(shape, Array):
        return [shape]
    return [array for part in shape for array in arrays(part)]


def read_module(text: str, platform: str) -> Module:
    """Read the text of a compiled program.

    Args:
        text: What `as_text()` of a compiled program returns.
        platform: The platform that it was compiled for, "tpu" or "cuda".

    Returns:
        The program.

    Raises:
        ValueError: If the text has no entry computation.
    """
    computations: dict[str, Computation] = {}
    entry, current = "", Computation()
    for line in text.splitlines():
        if header := HEADER.match(line):
            current = computations[header[2]] = Computation()
            entry = header[2] if header[1] else entry
        elif found := INSTRUCTION.match(line):
            instruction = _instruction(found[2], found[3])
            current.instructions[instruction.name] = instruction
            if found[1]:
                current.root = instruction.name
    if not entry:
        raise ValueError("`text` has no ENTRY; wanted the text of a compiled program.")
    return Module(computations, entry, platform)


def _instruction(name: str, text: str) -> Instruction:
    # XLA numbers the elements of long tuples with comments.
    text = re.sub(r"/\*.*?\*/", "", text)
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    shape, rest = _shape(text[:end]), text[end:].strip()
    opcode = rest[: rest.index("(")]
    close = _closing(rest, len(opcode))
    inside = rest[len(opcode) + 1 : close]
    return Instruction(
        name, shape, opcode, tuple(NAME.findall(inside)), inside, rest[close + 1 :]
    )


def _closing(text: str, start: int) -> int:
    """Return the index of the bracket that closes the one at `start`."""
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] == "(") - (text[index] == ")")
        if not depth:
            return index
    return len(text)


def _shape(text: str) -> Shape:
    if not text.startswith("("):
        found = ARRAY.match(text)
        return _array(*found.groups()) if found else ()
    parts, depth, start = [], 0, 1
    for index, letter in enumerate(text):
        depth += (letter in "({[") - (letter in ")}]")
        if (letter == "," and depth == 1) or (letter == ")" and not depth):
            parts.append(text[start:index].strip())
            start = index + 1
    return tuple(_shape(part) for part in parts if part)


def _array(dtype: str, dims: str, layout: str | None) -> Array:
    order, _, rest = (layout or "").partition(":")
    numbers = lambda words: tuple(int(n) for n in re.findall(r"\d+", words))
    tile = re.match(r"T\(([\d,]*)\)", rest)
    space = re.search(r"S\((\d+)\)", rest)
    return Array(
        dtype,
        numbers(dims),
        numbers(order),
        numbers(tile[1]) if tile else (),
        int(space[1]) if space else 0,
    )
