"""The networks to measure, and the batches to measure them on."""

import inspect
from typing import Any

from jaxnets.arguments import as_count, check_accepts, check_callable


def networks(model_or_make: Any, seeds: int) -> list[Any]:
    """Return the given model, or one new model for each seed.

    Args:
        model_or_make: An `nnx.Module`, or a function `make(rngs)` that returns one.
        seeds: How many models `make` makes, with the seeds 0, 1, 2, ...

    Raises:
        TypeError: If `model_or_make` is neither, or `make` returns something else.
        ValueError: If `seeds` is below 1.

    Example:
        >>> from flax import nnx
        >>> len(networks(lambda rngs: nnx.Linear(2, 3, rngs=rngs), seeds=2))
        2
    """
    from flax import linen, nnx

    count = as_count(seeds, "seeds", meaning="how many networks `make` makes")
    if isinstance(model_or_make, nnx.Module):
        return [model_or_make]
    wanted = "an nnx.Module, or a function `make(rngs)`"
    # A module of Linen can be called, so it would pass for a function.
    if isinstance(model_or_make, linen.Module):
        raise TypeError(
            f"`model_or_make` is {type(model_or_make).__name__}, a module of Linen; "
            f"wanted {wanted}. Wrap it by `nnx.bridge.ToNNX` and `lazy_init`, and call "
            "it inside `with jaxnets.interop.linen_taps():`."
        )
    check_callable("model_or_make", model_or_make, wanted)
    made = [_call(model_or_make, nnx.Rngs(seed)) for seed in range(count)]
    if not isinstance(made[0], nnx.Module):
        raise TypeError(
            f"`model_or_make(rngs)` returned {type(made[0]).__name__}; wanted an "
            "nnx.Module. Return the model at the end of the function."
        )
    return made


def arguments_of(batches: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return for each batch the arguments of the loss after the model.

    A plain tuple has several arguments. A named tuple is one, because a loss reads its
    fields.

    Example:
        >>> arguments_of((("x", "y"), "x"))
        [('x', 'y'), ('x',)]
    """
    return [b if type(b) is tuple else (b,) for b in batches] or [()]


def _call(make: Any, rngs: Any) -> Any:
    """Call `make(rngs)`; a class such as `Net(*, rngs)` gets it by its name."""
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError):
        return make(rngs)
    named = parameters.get("rngs")
    if named is not None and named.kind is inspect.Parameter.KEYWORD_ONLY:
        return make(rngs=rngs)
    given = "the random keys. Write `def make(rngs): ...`, with `rngs` an nnx.Rngs."
    check_accepts("model_or_make", make, given, rngs)
    return make(rngs)


def check_loss(loss: Any, arguments: tuple[Any, ...]) -> None:
    """Raise a TypeError unless a loss can be called with a model and these arguments.

    Args:
        loss: The loss.
        arguments: Its arguments after the model; none if there is no batch.
    """
    if not arguments:
        given = "the model only, because there is no batch. Pass at least one batch."
    elif len(arguments) == 1:
        given = "the model and one batch. Write `def loss(model, batch): ...`."
    else:
        given = (
            f"the model and the {len(arguments)} elements of a batch that is a tuple. "
            "Write a parameter for each, or pass the batch as a list."
        )
    check_accepts("loss", loss, given, None, *arguments)
