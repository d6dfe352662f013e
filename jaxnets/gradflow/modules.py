"""`measure_module`: gradient flow through any Flax NNX module, without edits.

Taps are placed at the output of every submodule of a copy of the model: see
`capture.classes`. The user's model and classes are never changed, so nothing has to be
restored.
"""

from collections.abc import Callable, Sequence
from typing import Any

from jaxnets.arguments import as_switch, check_callable
from jaxnets.gradflow.capture.arguments import is_pure, parse_argnums
from jaxnets.gradflow.capture.classes import insert_taps
from jaxnets.gradflow.logs import as_pair
from jaxnets.gradflow.measurement import Flow, measure


def measure_module(
    loss: Callable[..., Any],
    model: Any,
    *args: Any,
    argnums: Any = 0,
    wrt: Any = None,
    has_aux: bool = False,
    only: str | Sequence[str] | None = None,
    **kwargs: Any,
) -> Flow:
    """Evaluate `loss(model, *args)`, its gradient, and the flow through every module.

    Use it in place of `nnx.value_and_grad`: the value, the gradient with respect to
    every `nnx.Param`, and the updates of the model's variables (BatchNorm statistics,
    counts of random keys) are the same. In addition the output of each `__call__` is
    tapped, under the path of its module:

    - `layers/0/conv` is the module `model.layers[0].conv`; `__call__` is the model.
    - The second call of a module is `#2`, the third `#3`, in the order of the calls. A
      module with two paths has the one that comes first in the alphabet.
    - The result of another public method that is called with an array has the name of
      the method after the path: `decoder/attend`, or `encode` for the model's own.
    - An output of several arrays has one entry for each, under the module's path and
      the path in the output, such as `block/0/1` or the field of a NamedTuple. The
      states of Flax's LSTM cells are `cell/c` and `cell/h`. An array that occurs twice
      in the output has one entry.
    - If several modules are differentiated, their paths follow the number of the
      argument, such as `0/layers/2` and `1/head`.
    - Inside `nnx.scan` and `nnx.RNN` the statistics have a leading axis, `(layers,)` or
      `(time,)`: for a recurrent cell they are those of `dL/dh_t` at every step.
    - Taps that a module places itself, as those of this library do, have the module's
      path as their prefix: `encoder/h`. If such a tap is also the module's output, both
      entries are present, with the same numbers.

    The loss is evaluated on a copy of the model. Changes that a call makes to plain
    Python attributes, such as a list or a counter, stay on the copy.

    It works inside `jax.jit`, `nnx.jit` and `jax.vmap`, and with `nnx.scan`,
    `nnx.vmap`, `nnx.remat`, `nnx.cond` and `nnx.jit` inside the model. A tap in a
    branch that `nnx.cond` did not take has NaN for its numbers. As in Flax, variables
    such as BatchNorm's cannot change inside `jax.vmap` if the model was made outside:
    call `nnx.merge` inside.

    Args:
        loss: `loss(model, *args)` that returns a scalar, or `(scalar, aux)` with
            `has_aux=True`.
        model: Any `nnx.Module`, including one that has only Flax's own layers.
        *args: Further arguments. Modules and `nnx.Rngs` among them are updated as
            `model` is. Only those of `argnums` are differentiated and tapped.
        argnums: What to differentiate with respect to, as for `nnx.value_and_grad`: the
            number of an argument of `loss`, of which 0 is the model, an
            `nnx.DiffState(number, filter)`, or several of them. An argument may also be
            a pytree of arrays.
        wrt: Which variables of a module to differentiate with respect to, as a filter
            of Flax, such as `nnx.LoRAParam`, where `argnums` has none. None is
            `nnx.Param`.
        has_aux: Whether `loss` returns `(scalar, aux)`.
        only: Which taps to measure, as for `measure`: `"*/conv"` or
            `["encoder", "layers/*"]`. The others are not inserted.
        **kwargs: Keyword arguments of `loss`, which are not differentiated.

    Returns:
        `Flow(value, aux, grads, taps, responses)`; `grads` is an `nnx.State`, or a
        tuple of the gradients if `argnums` is a sequence.

    Raises:
        TypeError: If `model` is not an `nnx.Module`, `argnums` not a number or `wrt`
            not a filter, and as `measure`.
        ValueError: If `argnums` has a number of no argument, `wrt` matches no variable,
            and as `measure`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets.gradflow import measure_module
        >>> rngs = nnx.Rngs(0)
        >>> cell = nnx.GRUCell(3, 4, rngs=rngs)
        >>> model = nnx.Sequential(nnx.Linear(2, 3, rngs=rngs), nnx.RNN(cell))
        >>> loss = lambda model, x: jnp.mean(model(x) ** 2)
        >>> flow = measure_module(loss, model, jnp.ones((5, 7, 2)), only="*/cell")
        >>> {name: stats.norm.shape for name, stats in flow.taps.items()}
        {'layers/1/cell': (7,)}

    Source: Flax, `nnx.capture` with `method_outputs`, which stores the outputs
    themselves and changes the classes while it runs.
    """
    from flax import nnx

    if not isinstance(model, nnx.Module):
        raise TypeError(
            f"`model` is of type {type(model).__name__}; wanted an nnx.Module. For a "
            "pure function use `jaxnets.gradflow.measure`."
        )

    check_callable("loss", loss, "a function `loss(model, *args)`")
    has_aux = as_switch(has_aux, "has_aux")

    arguments = (model, *args)
    chosen, several = parse_argnums(
        argnums, nnx.Param if wrt is None else wrt, len(arguments)
    )
    pure = {k: arguments[k] for k in chosen if is_pure(arguments[k])}
    nodes = tuple(None if k in pure else each for k, each in enumerate(arguments))
    tapped = [0, *(k for k in sorted(chosen) if k > 0 and k not in pure)]

    def is_differentiated(path, leaf) -> bool:
        if path[0] != 0 or path[1] not in chosen or not isinstance(leaf, nnx.Variable):
            return False
        return chosen[path[1]](path[2:], leaf)

    # There may be variables, which are updated in place, and arrays, which are not.
    kinds = (is_differentiated, nnx.Variable, ...)
    graphdef, params, variables, arrays = nnx.split((nodes, kwargs), *kinds)
    if wrt is not None and not pure and not params:
        raise ValueError(
            f"`wrt` is {wrt!r}, which no variable of the model matches; wanted a "
            "filter of those to differentiate with respect to, such as `nnx.Param`."
        )

    def pure_loss(params, variables, arrays):
        # Merged inside, so that all variables belong to this trace.
        state, pure = params
        merged = nnx.merge(graphdef, state, variables, arrays, copy=True)
        copies, copied_kwargs = merged
        for k in tapped:
            insert_taps(copies[k], (str(k),) if len(tapped) > 1 else ())
        copies = [pure.get(k, copy) for k, copy in enumerate(copies)]
        result = loss(*copies, **copied_kwargs)
        value, aux = as_pair(result) if has_aux else (result, None)
        _, state_after, variables, _ = nnx.split(merged, *kinds)
        # Some layers change their own weights, such as `nnx.SpectralNorm`.
        changed = _changed_variables(state, state_after)
        return value, (aux, nnx.merge_state(variables, changed))

    params = (params, pure)
    flow = measure(pure_loss, params, variables, arrays, has_aux=True, only=only)
    aux, variables = flow.aux
    nnx.update((nodes, kwargs), variables)
    state, of_pure = flow.grads
    states = state.get(0, {})
    grads = {k: states.get(k, nnx.State({})) for k in chosen} | of_pure
    grads = tuple(grads[k] for k in chosen)
    return flow._replace(aux=aux, grads=grads if several else grads[0])


def _changed_variables(before: Any, after: Any) -> Any:
    """Return the variables of `after` whose array is not the one in `before`."""
    from flax import nnx

    arrays = {path: leaf.get_value() for path, leaf in nnx.to_flat_state(before)}
    changed = [
        (path, leaf)
        for path, leaf in nnx.to_flat_state(after)
        if leaf.get_value() is not arrays[path]
    ]
    return nnx.from_flat_state(changed)
