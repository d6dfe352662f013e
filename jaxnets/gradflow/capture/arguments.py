"""Which arguments of a loss are differentiated, as `nnx.value_and_grad` says it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax


class Differentiated(NamedTuple):
    """The arguments to differentiate with respect to.

    Attributes:
        predicates: `predicate(path, variable)`, by the number of the argument.
        several: Whether the gradients are returned in a tuple.
    """

    predicates: dict[int, Callable[[Any, Any], bool]]
    several: bool


def parse_argnums(argnums: Any, wrt: Any, count: int) -> Differentiated:
    """Return the arguments that `argnums` and `wrt` choose.

    Args:
        argnums: A number, an `nnx.DiffState`, or a sequence of them.
        wrt: A filter of Flax for the variables of the arguments that have none.
        count: How many positional arguments there are.

    Raises:
        TypeError: If `argnums` is of another type, or `wrt` is no filter.
        ValueError: If a number is out of range or occurs twice, or there is none.
    """
    from flax import nnx

    several = isinstance(argnums, Sequence)
    chosen = list(argnums) if isinstance(argnums, Sequence) else [argnums]
    predicates = {}
    for each in chosen:
        number, kind = each, wrt
        if isinstance(each, nnx.DiffState):
            number, kind = each.argnum, each.filter
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(
                f"`argnums` is {argnums!r}; wanted a number, an nnx.DiffState, or a "
                "sequence of them, such as `argnums=(0, 1)`."
            )
        if not -count <= number < count or number % count in predicates:
            raise ValueError(
                f"`argnums` is {argnums!r}; wanted different numbers below {count}, "
                "the number of positional arguments, where 0 is the model."
            )
        predicates[number % count] = _predicate(kind)
    if not predicates:
        raise ValueError("`argnums` is empty; wanted at least one number, such as 0.")
    return Differentiated(predicates, several)


def _predicate(kind: Any) -> Callable[[Any, Any], bool]:
    """Return the predicate of a filter of Flax, whose own error cannot be formatted."""
    from flax import nnx

    try:
        return nnx.filterlib.to_predicate(kind)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`wrt` is {kind!r}; wanted a filter of Flax, such as `nnx.Param`, "
            "`nnx.LoRAParam` or `nnx.All(nnx.Param, nnx.PathContains('head'))`."
        ) from error


def is_pure(argument: Any) -> bool:
    """Return whether an argument is a pytree of arrays without modules or variables."""
    from flax import nnx

    node = lambda leaf: isinstance(leaf, nnx.Pytree | nnx.Variable)
    return not any(map(node, jax.tree.leaves(argument, is_leaf=node)))
