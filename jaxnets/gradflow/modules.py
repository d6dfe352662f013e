"""`measure_module`: gradient flow through any Flax NNX module, without edits.

This is the only file of the package that knows Flax, and it imports Flax inside its
functions: the instrument measures any Flax model and knows no layer of this library.

Taps are placed at the output of every submodule of a copy of the model. Each submodule
of the copy gets a subclass of its own class, whose `__call__` taps its result. The
class is part of Flax's graph definition, so taps also work inside `nnx.scan`,
`nnx.RNN`, `nnx.remat` and other transforms that split and merge a module. The user's
model and classes are never changed, so nothing has to be restored.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from jaxnets.arguments import as_switch, check_callable
from jaxnets.gradflow.logs import as_pair
from jaxnets.gradflow.measurement import Flow, measure
from jaxnets.tap import next_call_number, scope, tap


def measure_module(
    loss: Callable[..., Any],
    model: Any,
    *args: Any,
    has_aux: bool = False,
    only: str | Sequence[str] | None = None,
) -> Flow:
    """Evaluate `loss(model, *args)`, its gradient, and the flow through every module.

    Use it in place of `nnx.value_and_grad`: the value, the gradient with respect to
    every `nnx.Param`, and the updates of the model's variables (BatchNorm statistics,
    counts of random keys) are the same. In addition the output of each `__call__` is
    tapped, under the path of its module:

    - `layers/0/conv` is the module `model.layers[0].conv`; `__call__` is the model.
    - The second call of a module is `#2`, the third `#3`, in the order of the calls. A
      module with two paths has the one that comes first in the alphabet.
    - An output of several arrays has one entry for each, under the module's path and
      the path in the output, such as `cell/0/1`. An array that occurs twice in the
      output has one entry.
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
            `model` is; they are neither differentiated nor tapped.
        has_aux: Whether `loss` returns `(scalar, aux)`.
        only: Which taps to measure, as for `measure`: `"*/conv"` or
            `["encoder", "layers/*"]`. The others are not inserted.

    Returns:
        `Flow(value, aux, grads, taps, responses)`; `grads` is an `nnx.State`.

    Raises:
        TypeError: If `model` is not an `nnx.Module`, and as `measure`.
        ValueError: As `measure`.

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

    def is_param_of_model(path, leaf) -> bool:
        return path[0] == 0 and isinstance(leaf, nnx.Param)

    # `args` may hold variables, which are updated in place, and arrays, which are not.
    kinds = (is_param_of_model, nnx.Variable, ...)
    graphdef, params, variables, arrays = nnx.split((model, args), *kinds)

    def pure_loss(params, variables, arrays):
        # Merged inside, so that all variables belong to this trace.
        merged = nnx.merge(graphdef, params, variables, arrays, copy=True)
        copy, copied_args = merged
        _insert_taps(copy)
        result = loss(copy, *copied_args)
        value, aux = as_pair(result) if has_aux else (result, None)
        _, params_after, variables, _ = nnx.split(merged, *kinds)
        # Some layers change their own weights, such as `nnx.SpectralNorm`.
        changed = _changed_variables(params, params_after)
        return value, (aux, nnx.merge_state(variables, changed))

    flow = measure(pure_loss, params, variables, arrays, has_aux=True, only=only)
    aux, variables = flow.aux
    nnx.update((model, args), variables)
    return flow._replace(aux=aux, grads=flow.grads.get(0, nnx.State({})))


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


def _insert_taps(model: Any) -> None:
    """Change the classes of `model` and its submodules to ones that tap the output."""
    from flax import nnx

    for path, submodule in nnx.iter_modules(model):
        if callable(submodule):
            names = tuple(map(str, path))
            tapped = _tapped_class(type(submodule), names)
            object.__setattr__(submodule, "__class__", tapped)


# The path of the module whose `__call__` is being traced.
_enclosing_path = jax.make_user_context(default_value=())
# The number of that call. User contexts are part of every jit cache key, so a function
# that is jitted inside a module is traced anew for each call of the module, and the
# taps of two calls have different keys.
_call_number = jax.make_user_context(default_value=None)


# Cached because JAX and Flax keep every class, and because jit finds a compiled
# function again only if the class is the same.
@functools.cache
def _tapped_class(cls: type, path: tuple[str, ...]) -> type:
    """Return a subclass of `cls` that taps what its `__call__` returns as `path`."""

    def __call__(self, *args, **kwargs):
        # The enclosing module's path is already a scope; add only the rest of it.
        outer = _enclosing_path.value
        inside = path[: len(outer)] == outer
        name = "/".join(path[len(outer) :] if inside else path)
        inner = scope(name) if name else contextlib.nullcontext()
        with _enclosing_path(path), _call_number(next_call_number()), inner:
            output = cls.__call__(self, *args, **kwargs)
        return _tap_arrays(output, name or "__call__")

    members = {
        "__call__": functools.update_wrapper(__call__, cls.__call__),
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
    }
    options = {} if getattr(cls, "_pytree__is_pytree", True) else {"pytree": False}
    return _tapping_metaclass(type(cls))(cls.__name__, (cls,), members, **options)


@functools.cache
def _tapping_metaclass(metaclass: type) -> type:
    """Return a subclass of `metaclass` whose classes hide what their base registers.

    The user's `__init_subclass__` may need arguments, or register its subclasses. A
    second base class would hide it, but only a class with the one base `cls` has the
    memory layout of `cls`, which Python demands of a new `__class__`. So the class that
    hides it is inserted into the method resolution order.
    """
    from flax import nnx

    class TappingMetaclass(metaclass):
        def mro(self) -> list[type]:
            tapped, *others = super().mro()
            after = others.index(nnx.Pytree) + 1
            return [tapped, _OnlyOfFlax, *others[:after], _Nothing, *others[after:]]

    return TappingMetaclass


class _OnlyOfFlax:
    """Comes before the user's classes and has only Flax's `__init_subclass__`."""

    def __init_subclass__(cls, **options):
        from flax import nnx

        nnx.Module.__init_subclass__.__func__(cls, **options)


class _Nothing:
    """Comes after Flax's classes, whose `__init_subclass__` calls the next one."""

    def __init_subclass__(cls):
        pass


def _tap_arrays(output: Any, name: str) -> Any:
    """Tap every array of `output`; one that occurs twice is tapped once."""
    from flax import nnx

    stops = lambda node: isinstance(node, nnx.Pytree | nnx.Variable)
    leaves, treedef = jax.tree.flatten_with_path(output, is_leaf=stops)
    arrays = {
        id(leaf): (path, leaf)
        for path, leaf in reversed(leaves)
        if isinstance(leaf, jax.Array)
    }
    single = len(arrays) == 1
    tapped = {
        key: tap(leaf, name if single else f"{name}/{_path_name(path)}")
        for key, (path, leaf) in reversed(arrays.items())
    }
    return treedef.unflatten([tapped.get(id(leaf), leaf) for _, leaf in leaves])


def _path_name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
