"""What a suite hands over to be timed."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxnets.bench.grid import Row


class Program(NamedTuple):
    """A function of JAX arrays, and what to call it with.

    Attributes:
        function: Pure, to be compiled.
        arguments: Its arguments, pytrees of arrays.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class Case(NamedTuple):
    """One thing to be timed, as each contender does it.

    Attributes:
        row: Its row of the grid.
        direction: "forward", "gradients" (forward and all gradients) or "step".
        programs: By contender, "ours" first. Further ones are "flax", and "outside",
            ours outside of the loop.
        in_torch: Whether the PyTorch process has a counterpart.
        parameters: Number of the network's parameters, the same for all contenders.
    """

    row: Row
    direction: str
    programs: dict[str, Program]
    in_torch: bool = True
    parameters: int | None = None
