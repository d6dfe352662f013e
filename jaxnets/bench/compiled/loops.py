"""How often the body of a loop runs."""

from typing import NamedTuple

from jaxnets.bench.compiled.hlo import Computation, Instruction, Module


# Instructions whose value is that of their first operand.
SAME = ("bitcast", "convert", "copy", "reshape")
# The comparison with its sides exchanged.
EXCHANGED = {"LT": "GT", "GT": "LT", "LE": "GE", "GE": "LE", "NE": "NE"}


class Value(NamedTuple):
    """An integer that the compiler's text tells, or how it depends on a loop.

    Attributes:
        element: None for a constant. Otherwise the number of an element of the tuple
            that the loop carries.
        offset: The constant, or what is added to the element.
    """

    element: int | None
    offset: int


# What is known of the elements of a tuple.
Known = dict[int, Value]


def start_of(
    module: Module, computation: Computation, loop: Instruction, known: Known
) -> Known:
    """Return the integers that a loop starts with and that the text tells."""
    (operand,) = computation.operands(loop)
    if operand.opcode != "tuple":
        return {}
    found = {
        number: value_of(module, computation, name, known)
        for number, name in enumerate(operand.operands)
    }
    return {n: v for n, v in found.items() if v is not None and v.element is None}


def constants_of(module: Module, loop: Instruction, start: Known) -> Known:
    """Return those of the integers at the start that the loop never changes."""
    body = module.computations[loop.called["body"][0]]
    root = body.instructions[body.root]
    return {
        number: value
        for number, value in start.items()
        if value_of(module, body, root.operands[number], {}) == Value(number, 0)
    }


def trips(module: Module, loop: Instruction, start: Known) -> int | None:
    """Return how often the body of a loop runs, or None if the text does not tell.

    XLA writes it beside most loops for a GPU. For a TPU it follows from the value that
    the counter starts with, what the body adds to it, and the condition.
    """
    written = loop.attribute(r'"known_trip_count":\{"n":"(\d+)"\}')
    if written:
        return int(written)
    body, condition = (
        module.computations[loop.called[part][0]] for part in ("body", "condition")
    )
    constants = constants_of(module, loop, start)
    compared = _comparison(module, condition, constants)
    if compared is None:
        return None
    direction, counter, bound = compared
    element = counter.element
    if element is None or element not in start or bound.element is not None:
        return None
    name = body.instructions[body.root].operands[element]
    after = value_of(module, body, name, constants)
    if after is None or after.element != element or not after.offset:
        return None
    first = start[element].offset + counter.offset
    distance = bound.offset - first + {"LE": 1, "GE": -1}.get(direction, 0)
    return max(0, -(-distance // after.offset))


def _comparison(
    module: Module, condition: Computation, known: Known
) -> tuple[str, Value, Value] | None:
    """Return the direction, the counter and the bound of a condition."""
    root, arguments = condition.instructions[condition.root], {}
    inside = condition
    if root.opcode == "fusion":
        arguments = _arguments(module, condition, root, known)
        inside = module.computations[root.called["calls"][0]]
        root = inside.instructions[inside.root]
    direction = root.attribute(r"direction=(\w+)")
    if root.opcode != "compare" or direction not in EXCHANGED:
        return None
    left, right = (
        value_of(module, inside, name, known, arguments) for name in root.operands
    )
    if left is None or right is None:
        return None
    if left.element is None:
        return EXCHANGED[direction], right, left
    return direction, left, right


def value_of(
    module: Module,
    computation: Computation,
    name: str,
    known: Known,
    arguments: dict[int, Value | None] | None = None,
) -> Value | None:
    """Return an integer of a computation, or None if the text does not tell it.

    Args:
        module: The program.
        computation: The computation.
        name: The instruction whose result is wanted.
        known: What is known of the elements of the tuple that is the computation's
            parameter.
        arguments: The values of its parameters, if it is that of a fusion.
    """
    found = computation.instructions[name]
    operands = computation.operands(found)
    inner = lambda name: value_of(module, computation, name, known, arguments)
    if found.opcode == "constant":
        return _constant(found)
    if found.opcode == "parameter":
        return (arguments or {}).get(int(found.literal))
    if found.opcode in SAME:
        return inner(found.operands[0])
    if found.opcode == "get-tuple-element":
        number = int(found.attribute(r"index=(\d+)") or 0)
        if operands[0].opcode == "tuple":
            return inner(operands[0].operands[number])
        if operands[0].opcode == "parameter":
            return known.get(number, Value(number, 0))
        return None
    if found.opcode == "fusion":
        called = module.computations[found.called["calls"][0]]
        given = _arguments(module, computation, found, known, arguments)
        return value_of(module, called, called.root, {}, given)
    if found.opcode in ("add", "subtract"):
        return _sum(found.opcode, *map(inner, found.operands))
    return None


def _constant(found: Instruction) -> Value | None:
    digits = found.literal.strip()
    return Value(None, int(digits)) if digits.lstrip("-").isdigit() else None


def _sum(opcode: str, left: Value | None, right: Value | None) -> Value | None:
    if left is None or right is None:
        return None
    sign = -1 if opcode == "subtract" else 1
    if right.element is None:
        return Value(left.element, left.offset + sign * right.offset)
    if left.element is None and sign == 1:
        return Value(right.element, left.offset + right.offset)
    return None


def _arguments(module, computation, fusion, known, arguments=None):
    return {
        number: value_of(module, computation, name, known, arguments)
        for number, name in enumerate(fusion.operands)
    }
