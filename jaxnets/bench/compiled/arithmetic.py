"""The operations of one instruction.

A multiplication and an addition are two operations. Products and convolutions have two
for each pair of numbers that they multiply, without those that meet padding. All other
instructions have one for each element: of the result, or of what they reduce.
"""

import re

import numpy as np

from jaxnets.bench.compiled.hlo import (
    NAMES,
    Array,
    Computation,
    Instruction,
    Module,
    arrays,
)


# Instructions that move, make or name numbers, and those whose parts are counted.
FREE = (
    *NAMES,
    *("copy", "transpose", "reshape", "broadcast", "iota", "bitcast-convert"),
    *("slice", "dynamic-slice", "dynamic-update-slice", "gather", "concatenate", "pad"),
    *("reverse", "sort", "while", "call", "conditional", "async-start"),
)
# For the convolutions of cuDNN: which operands are input and kernel, and which array is
# the output. "result" stands for the result.
CUDNN = {
    "__cudnn$convForward": (0, 1, "result"),
    "__cudnn$convBiasActivationForward": (0, 1, "result"),
    "__cudnn$convBackwardInput": ("result", 1, 0),
    "__cudnn$convBackwardFilter": (0, "result", 1),
}


def operations(
    module: Module, computation: Computation, instruction: Instruction
) -> float:
    """Return the operations of an instruction and of the fusions that it calls."""
    opcode = instruction.opcode.removesuffix("-start")
    if opcode == "fusion":
        inside = module.computations[instruction.called["calls"][0]]
        each = inside.instructions.values()
        return sum(operations(module, inside, one) for one in each)
    operands = [_first(each) for each in computation.operands(instruction)]
    result = _first(instruction)
    if opcode == "convolution":
        return _convolution(instruction, operands[0], operands[1], result)
    if opcode == "dot":
        axes = instruction.attribute(r"lhs_contracting_dims=\{([\d,]*)\}")
        return _product(operands[0], axes or "", result)
    if opcode == "custom-call":
        return _library(instruction, operands, result)
    if opcode in FREE or opcode.endswith("-done") or opcode.endswith("-update"):
        return 0.0
    if opcode == "reduce":
        return float(operands[0].elements)
    if opcode == "reduce-window":
        return float(result.elements * (np.prod(_window(instruction)["size"]) - 1))
    if opcode == "select-and-scatter":
        return float(operands[1].elements * np.prod(_window(instruction)["size"]))
    if opcode == "scatter":
        return float(operands[2].elements)
    return float(result.elements)


def _first(instruction: Instruction) -> Array:
    found = arrays(instruction.shape)
    return found[0] if found else Array("token")


def _product(left: Array, axes: str, result: Array) -> float:
    summed = [left.dims[int(axis)] for axis in axes.split(",") if axis]
    return 2.0 * result.elements * float(np.prod(summed))


def _library(instruction: Instruction, operands: list[Array], result: Array) -> float:
    """Return the operations of a call of a library or of a Pallas kernel."""
    target = instruction.attribute(r'custom_call_target="([^"]*)"') or ""
    if target in CUDNN:
        x, kernel, y = (
            result if where == "result" else operands[int(where)]
            for where in CUDNN[target]
        )
        return _convolution(instruction, x, kernel, y)
    if target.startswith("__cublas$"):
        axes = instruction.attribute(r'"lhs_contracting_dimensions":\[([^\]]*)\]')
        return _product(operands[0], (axes or "").replace('"', ""), result)
    # What the author of a Pallas kernel says that it costs. For a GPU it gets lost.
    estimate = instruction.attribute(r'"cost_estimate":\{"flops":"(\d+)"')
    return float(estimate or 0)


def _convolution(instruction: Instruction, x: Array, kernel: Array, y: Array) -> float:
    labels = instruction.attribute(r"dim_labels=(\S+?)(?:,|$)") or ""
    of_x, of_kernel, of_y = re.split("_|->", labels)
    window = _window(instruction)
    pairs = 2.0 * x.dims[of_x.index("b")] * x.dims[of_x.index("f")]
    pairs *= kernel.dims[of_kernel.index("o")]
    for group in ("feature_group_count", "batch_group_count"):
        pairs /= int(instruction.attribute(rf"{group}=(\d+)") or 1)
    for axis in range(len(of_x) - 2):
        letter = str(axis)
        pairs *= _meetings(
            x.dims[of_x.index(letter)],
            y.dims[of_y.index(letter)],
            {name: numbers[axis] for name, numbers in window.items()},
        )
    return pairs


def _meetings(length: int, outputs: int, window: dict[str, int]) -> int:
    """Return how often an element of the window meets one of x, along one axis."""
    positions = np.arange(outputs)[:, None] * window["stride"] - window["pad"]
    positions = positions + np.arange(window["size"]) * window["rhs_dilate"]
    last = (length - 1) * window["lhs_dilate"]
    inside = (positions >= 0) & (positions <= last)
    return int(np.sum(inside & (positions % window["lhs_dilate"] == 0)))


def _window(instruction: Instruction) -> dict[str, list[int]]:
    """Return the numbers of each axis of a window; of the padding only that before."""
    text = instruction.attribute(r"window=\{([^}]*)\}") or ""
    words = dict(word.split("=") for word in text.split())
    sizes = [int(n) for n in words.get("size", "").split("x") if n]
    window = {name: [1] * len(sizes) for name in ("stride", "lhs_dilate", "rhs_dilate")}
    window |= {"size": sizes, "pad": [0] * len(sizes)}
    for name, numbers in words.items():
        window[name] = [int(n.split("_")[0]) for n in numbers.split("x")]
    return window
