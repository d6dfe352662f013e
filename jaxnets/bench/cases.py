"""Cases: the functions of one row of a grid, as each contender computes it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxnets.bench.grid import Row


class Program(NamedTuple):
    """A function of JAX arrays and the arguments to call it with.

    Attributes:
        function: A pure function, which is compiled before it is timed.
        arguments: Its arguments, pytrees of arrays.
        compiled: Whether the function compiles itself, at its first call. It is then
            timed with what it does outside of the compiled program.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    compiled: bool = False


class Case(NamedTuple):
    """One computation to be timed, with a program for each contender.

    Attributes:
        row: The row of the grid that asks for it.
        direction: "forward", "gradients" (forward and all gradients), "step" or
            "epoch" (training steps in one call); in the suite gradflow "norms",
            "everything", "scheduled" or "monitor".
        programs: Programs by contender. "ours" comes first; the others are "flax", and
            further programs of ours: "outside" (the layers without a loop), "stored"
            (without `checkpoint`), "plain" (without measuring), and the names of
            implementations that are forced.
        in_torch: Whether the PyTorch process can compute the same.
        parameters: The number of parameters of the network, the same for all
            contenders; None if there is no network.
    """

    row: Row
    direction: str
    programs: dict[str, Program]
    in_torch: bool = True
    parameters: int | None = None


def with_gradients(programs: dict[str, Program]) -> dict[str, Program]:
    """Return programs that compute the value and the gradient for every argument.

    Args:
        programs: Programs by contender. Each function returns one array, of the same
            shape for all contenders.

    Returns:
        Programs `f(cotangent, *arguments) -> (value, *gradients)` by contender.
    """
    ours = programs["ours"]
    output = jax.eval_shape(ours.function, *ours.arguments)
    # The cotangent is an argument too, so that XLA cannot compute anything ahead.
    key = jax.random.key(2, impl="rbg")
    cotangent = jax.random.normal(key, output.shape, output.dtype)
    return {
        who: Program(_with_gradients(each.function), (cotangent, *each.arguments))
        for who, each in programs.items()
    }


def _with_gradients(function: Callable[..., jax.Array]) -> Callable[..., Any]:
    def value_and_gradients(cotangent, *arguments):
        value, back = jax.vjp(function, *arguments)
        return value, *back(cotangent)

    return value_and_gradients
