"""The loss of an NNX module as a jaxpr, in which taps are equations.

This file knows Flax, and imports it inside its functions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxnets.arguments import as_switch, check_callable
from jaxnets.gradflow.capture.classes import insert_taps
from jaxnets.gradflow.logs import as_pair
from jaxnets.tap import record_taps


class Traced(NamedTuple):
    """A traced loss.

    Attributes:
        jaxpr: The closed jaxpr, with the loss as its only result.
        params: The paths of the parameters, in the order of the first arguments.
        others: The number of the model's other arrays, which are the next arguments.
        modules: The classes of the model's modules, by their paths.
        arguments: All arguments.
    """

    jaxpr: Any
    params: list[str]
    others: int
    modules: dict[str, type]
    arguments: list[Any]


def trace_loss(
    loss: Callable[..., Any],
    model: Any,
    args: tuple[Any, ...],
    has_aux: bool,
    transform: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda f: f,
) -> Traced:
    """Trace `loss(model, *args)` with a tap at the output of every module.

    Args:
        loss: The loss.
        model: An `nnx.Module`.
        args: Its further arguments.
        has_aux: Whether `loss` returns `(scalar, aux)`.
        transform: What to trace instead of the function of the parameters, the model's
            other arrays and the rest, such as `jax.grad` of it.

    Raises:
        TypeError: If `model` is not an `nnx.Module` or `loss` is not a function.
    """
    from flax import nnx

    if not isinstance(model, nnx.Module):
        raise TypeError(
            f"`model` is of type {type(model).__name__}; wanted an nnx.Module. Put the "
            "parameters of a pure function into one."
        )
    check_callable("loss", loss, "a function `loss(model, *args)`")
    has_aux = as_switch(has_aux, "has_aux")

    graphdef, params, others, data = _split(model, args)

    def pure_loss(params, others, data):
        copy, copied_args = nnx.merge(graphdef, params, others, data, copy=True)
        insert_taps(copy)
        result = loss(copy, *copied_args)
        return as_pair(result)[0] if has_aux else result

    with record_taps(to_read=True):
        jaxpr = jax.make_jaxpr(transform(pure_loss))(params, others, data)
    paths = ["/".join(map(str, path[1:])) for path, _ in nnx.to_flat_state(params)]
    modules = {
        "/".join(map(str, path)): type(module)
        for path, module in nnx.iter_modules(model)
    }
    leaves = jax.tree.leaves((params, others, data))
    return Traced(jaxpr, paths, len(jax.tree.leaves(others)), modules, leaves)


def arguments_of_trace(model: Any, args: tuple[Any, ...]) -> list[Any]:
    """Return the arguments of a traced loss for another model of the same structure."""
    return jax.tree.leaves(_split(model, args)[1:])


def _split(model: Any, args: tuple[Any, ...]) -> Any:
    from flax import nnx

    def of_model(path, _) -> bool:
        return path[0] == 0

    def is_param(path, leaf) -> bool:
        return of_model(path, leaf) and isinstance(leaf, nnx.Param)

    return nnx.split((model, args), is_param, of_model, ...)


def traced_call(
    function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Any, list[Any], Callable[[list[Any]], Any]]:
    """Trace `function(*args, **options)` as a function of arrays, with its taps.

    Args:
        function: A function of modules and arrays. It may change the modules.
        args: Its arguments.
        options: Its keyword arguments.

    Returns:
        The closed jaxpr, its arguments, and a function that takes the results of the
        jaxpr, changes the modules in the arguments and returns what `function`
        returned.
    """
    from flax import nnx

    # Variables are updated in place; arrays are not.
    graphdef, *states = nnx.split((args, options), nnx.Variable, ...)

    def pure(variables: Any, arrays: Any) -> tuple[Any, Any]:
        merged = nnx.merge(graphdef, variables, arrays, copy=True)
        copies, copied_options = merged
        result = function(*copies, **copied_options)
        return result, nnx.split(merged, nnx.Variable, ...)[1]

    with record_taps(to_read=True):
        jaxpr, shapes = jax.make_jaxpr(pure, return_shape=True)(*states)

    def finish(results: list[Any]) -> Any:
        structure = jax.tree.structure(shapes)
        result, changed = jax.tree.unflatten(structure, results)
        nnx.update((args, options), changed)
        return result

    return jaxpr, jax.tree.leaves(states), finish
