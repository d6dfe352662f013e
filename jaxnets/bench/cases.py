"""What a suite hands over to be timed."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

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
        direction: "forward", "gradients" (forward and all gradients) or "step"; for
            the suite gradflow "norms", "everything" or "scheduled".
        programs: By contender, "ours" first. Further ones are "flax", and of ours
            "outside", outside of the loop, "stored", without `checkpoint`, and
            "plain", without measuring.
        in_torch: Whether the PyTorch process has a counterpart.
        parameters: Number of the network's parameters, the same for all contenders.
    """

    row: Row
    direction: str
    programs: dict[str, Program]
    in_torch: bool = True
    parameters: int | None = None


def with_gradients(programs: dict[str, Program]) -> dict[str, Program]:
    """Return programs that compute the value and the gradients by every argument.

    Args:
        programs: Of functions whose value is one array, of the same shape for all.

    Returns:
        By contender, `f(cotangent, *arguments) -> (value, *gradients)`.
    """
    function, arguments = programs["ours"]
    output = jax.eval_shape(function, *arguments)
    # An argument, as are all arrays: nothing can be computed ahead.
    key = jax.random.key(2, impl="rbg")
    cotangent = jax.random.normal(key, output.shape, output.dtype)
    return {
        who: Program(_with_gradients(function), (cotangent, *arguments))
        for who, (function, arguments) in programs.items()
    }


def _with_gradients(function: Callable[..., jax.Array]) -> Callable[..., Any]:
    def value_and_gradients(cotangent, *arguments):
        value, back = jax.vjp(function, *arguments)
        return value, *back(cotangent)

    return value_and_gradients
