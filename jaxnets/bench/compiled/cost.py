"""What a compiled program costs: the sum over all kernels that it runs.

A kernel in the body of a loop counts as often as the body runs.

XLA's own figures (`cost_analysis()` of a compiled program) are no help here. For a TPU
they count the body of a loop once, however often it runs: a scan of 10 steps has the
bytes and operations of one of 100. For a GPU that is not there, XLA gives none. For
programs without loops, our figures agree with those of XLA for a TPU
(`tests/bench/compiled/test_with_compiler.py`).
"""

import math
from typing import NamedTuple

from jaxnets.bench.compiled import loops
from jaxnets.bench.compiled.arithmetic import operations
from jaxnets.bench.compiled.hlo import (
    NAMES,
    Computation,
    Instruction,
    Module,
    arrays,
)
from jaxnets.bench.compiled.traffic import kernel_bytes


# Custom calls that start no kernel: they reserve memory or inform the compiler.
NO_KERNELS = ("AllocateBuffer", "ConcatBitcast", "Sharding")
# Instructions of a TPU that its copying engine runs beside the others.
COPIES = ("copy-start", "slice-start", "dynamic-slice-start")


class Cost(NamedTuple):
    """What a program or a part of it costs.

    Attributes:
        moved: Bytes that its kernels read and write.
        main: Those of them in the chip's main memory.
        flops: Operations.
        kernels: Kernels that are started.
        loops: Loops whose number of iterations is not in the program; their bodies are
            counted once.
    """

    moved: float = 0.0
    main: float = 0.0
    flops: float = 0.0
    kernels: int = 0
    loops: int = 0

    def plus(self, other: "Cost") -> "Cost":
        """Return the sum of two costs."""
        return Cost(
            self.moved + other.moved,
            self.main + other.main,
            self.flops + other.flops,
            self.kernels + other.kernels,
            self.loops + other.loops,
        )

    def times(self, number: int) -> "Cost":
        """Return the cost of `number` times the same."""
        return Cost(
            number * self.moved,
            number * self.main,
            number * self.flops,
            number * self.kernels,
            self.loops,
        )


def cost_of(module: Module) -> Cost:
    """Return what one call of a program costs.

    Of the branches of a conditional the one that moves most is counted.

    Args:
        module: The program, as `read_module` returns it.
    """
    return _cost(module, module.computations[module.entry], {})


def _cost(module: Module, computation: Computation, known: loops.Known) -> Cost:
    total = Cost()
    for each in computation.instructions.values():
        if each.opcode == "while":
            total = total.plus(_loop_cost(module, computation, each, known))
        elif each.opcode in ("call", "conditional", "async-start"):
            called = [name for names in each.called.values() for name in names]
            parts = [_cost(module, module.computations[name], {}) for name in called]
            total = total.plus(max(parts, key=lambda part: part.moved, default=Cost()))
        else:
            total = total.plus(_kernel_cost(module, computation, each))
    return total


def _loop_cost(module, computation, loop, known) -> Cost:
    start = loops.start_of(module, computation, loop, known)
    inside = loops.constants_of(module, loop, start)
    body = _cost(module, module.computations[loop.called["body"][0]], inside)
    number = loops.trips(module, loop, start)
    if number is None:
        return body._replace(loops=body.loops + 1)
    return body.times(number)


def _kernel_cost(module: Module, computation: Computation, each: Instruction) -> Cost:
    if each.opcode in NAMES or each.opcode.endswith(("-done", "-update")):
        return Cost()
    if each.opcode == "custom-call" and any(
        f'custom_call_target="{name}"' in each.attributes for name in NO_KERNELS
    ):
        return Cost()
    moved = kernel_bytes(module, computation, each)
    flops = operations(module, computation, each)
    return Cost(moved.total, moved.main, flops, _launches(module, computation, each))


def _launches(module: Module, computation: Computation, each: Instruction) -> int:
    """Return 1 if an instruction is a kernel of its own.

    On a GPU every instruction is one, also the counter of a loop. On a TPU the scalar
    unit computes single numbers, and the copying engine makes the copies that run
    beside the kernels.
    """
    if module.platform != "tpu":
        return 1
    if each.opcode in COPIES:
        return 0
    shapes = [each.shape, *(operand.shape for operand in computation.operands(each))]
    found = [array for shape in shapes for array in arrays(shape)]
    return int(any(math.prod(array.dims) > 1 for array in found))
