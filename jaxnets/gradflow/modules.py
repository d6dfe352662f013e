"""`measure_module`: gradient flow through any Flax NNX module, as it is.

The one file of this folder that knows Flax, and it loads it when it is used: to
measure any Flax model is what the instrument is for, and no layer of this library is
known here.

Taps stand at the output of every submodule because a copy of the module is made, and
each of its submodules gets a subclass of its own class, whose `__call__` taps. The
class travels in Flax's graph definition, so taps are also there inside `nnx.scan`,
`nnx.RNN`, `nnx.remat` and whatever else takes a module apart and puts it together
again; and nothing has to be undone, since the user's module and classes are never
touched.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from jaxnets.gradflow.measurement import measure_both_ways
from jaxnets.tap import ResponseStats, TapStats, call_number, scope, tap


class ModuleFlow(NamedTuple):
    """A measured loss of a module.

    Attributes:
        value: The loss, a scalar.
        aux: What the loss returned beside it with `has_aux=True`, otherwise None.
        grads: `nnx.State` of the gradients by every `nnx.Param`, as `nnx.grad` returns.
        taps: `{path: TapStats}`, what passed back through every submodule's output.
        responses: `{path: ResponseStats}`, those outputs themselves.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets.gradflow import measure_module
        >>> model = nnx.Linear(3, 1, use_bias=False, rngs=nnx.Rngs(0))
        >>> loss = lambda model, x: jnp.sum(model(x))
        >>> flow = measure_module(loss, model, jnp.ones(3))
        >>> flow.grads["kernel"].shape, flow.taps["__call__"].norm
        ((3, 1), Array(1., dtype=float32))
    """

    value: jax.Array
    aux: Any
    grads: Any
    taps: dict[str, TapStats]
    responses: dict[str, ResponseStats]


def measure_module(
    loss: Callable[..., Any],
    module: Any,
    *args: Any,
    has_aux: bool = False,
    only: str | Sequence[str] | None = None,
) -> ModuleFlow:
    """Evaluate `loss(module, *args)`, its gradient, and the flow through every module.

    It is `nnx.value_and_grad` that also listens: same value, same gradient by every
    `nnx.Param`, same changes of the module's variables (BatchNorm's statistics,
    counts of random numbers). The output of each `__call__` is tapped and stands under
    the module's path:

    - `layers/0/conv` is the module `model.layers[0].conv`; the outermost is `__call__`.
    - A module that is called again has `#2`, `#3`, in the order of the calls. A module
      that stands in two places has the path that comes first by name.
    - An output of several arrays has one entry for each, such as `cell/0/1`: the place
      in the output follows. Arrays that occur twice in it are one entry.
    - Inside `nnx.scan` and `nnx.RNN` the statistics have a leading axis, `(layers,)` or
      `(time,)`: for a recurrent cell they are those of `dL/dh_t` at every step.
    - Taps that a module places itself, as those of this library do, stand below its
      path under their own names: `encoder/h`. Where such a tap is also the module's
      output, both entries are there with the same numbers.

    What a call changes of plain Python attributes it changes on the copy: a list or a
    count of calls that the module keeps stays as it was.

    It works inside `jax.jit`, `nnx.jit` and `jax.vmap`, and with `nnx.scan`,
    `nnx.vmap`, `nnx.remat`, `nnx.cond` and `nnx.jit` inside of the module. Where
    `nnx.cond` did not take the branch of a tap, its numbers are NaN. As with Flax,
    variables such as BatchNorm's cannot change inside of a `jax.vmap` when the module
    comes from outside of it: merge the module inside.

    Args:
        loss: `loss(module, *args)` that returns a scalar, or `(scalar, aux)`.
        module: Any `nnx.Module`, also one built of Flax's own layers only. The modules
            and their classes stay as they are.
        *args: Further arguments. Modules and `nnx.Rngs` among them change as
            `module` does; no gradient is taken by them, and they are not tapped.
        has_aux: Whether `loss` returns `(scalar, aux)`.
        only: Which taps to listen to, as for `measure`: `"*/conv"` or
            `["encoder", "layers/*"]`. The others are not inserted.

    Returns:
        A `ModuleFlow` of value, aux, grads, taps and responses.

    Raises:
        TypeError: If `module` is no `nnx.Module`; otherwise as `measure`.
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

    if not isinstance(module, nnx.Module):
        raise TypeError(
            f"`module` is of type {type(module).__name__}; wanted an nnx.Module. For a "
            "pure function use `jaxnets.gradflow.measure`."
        )

    def of_the_module(path, leaf) -> bool:
        return path[0] == 0 and isinstance(leaf, nnx.Param)

    # Variables change in place, arrays stay; of both there may be some in `args`.
    kinds = (of_the_module, nnx.Variable, ...)
    graphdef, params, variables, arrays = nnx.split((module, args), *kinds)

    def pure(params, variables, arrays):
        # Merged inside, so that all variables belong to this trace.
        merged = nnx.merge(graphdef, params, variables, arrays, copy=True)
        copy, copied_args = merged
        _place_taps(copy)
        result = loss(copy, *copied_args)
        value, aux = result if has_aux else (result, None)
        _, params_after, variables, _ = nnx.split(merged, *kinds)
        # Some layers change their own weights, such as `nnx.SpectralNorm`.
        changed = _changed(params, params_after)
        return value, (aux, nnx.merge_state(variables, changed))

    flow, responses = measure_both_ways(
        pure, params, variables, arrays, has_aux=True, only=only
    )
    aux, variables = flow.aux
    nnx.update((module, args), variables)
    grads = flow.grads.get(0, nnx.State({}))
    return ModuleFlow(flow.value, aux, grads, flow.taps, responses)


def _changed(before: Any, after: Any) -> Any:
    """Return the variables of `after` that hold another array than in `before`."""
    from flax import nnx

    arrays = {path: leaf.get_value() for path, leaf in nnx.to_flat_state(before)}
    changed = [
        (path, leaf)
        for path, leaf in nnx.to_flat_state(after)
        if leaf.get_value() is not arrays[path]
    ]
    return nnx.from_flat_state(changed)


def _place_taps(module: Any) -> None:
    """Let the outputs of `module` and its submodules be tapped from now on."""
    from flax import nnx

    for path, submodule in nnx.iter_modules(module):
        if callable(submodule):
            names = tuple(map(str, path))
            object.__setattr__(submodule, "__class__", _tapped(type(submodule), names))


# The path of the module whose `__call__` is traced; a part of every jit cache key.
_enclosing = jax.make_user_context(default_value=())
# The number of that call: what is jitted inside of a module is traced for each of its
# calls, so that they can be told apart.
_call = jax.make_user_context(default_value=None)


# Classes are kept: JAX and Flax never forget one, and a compiled function is found
# again only by the same class.
@functools.cache
def _tapped(cls: type, path: tuple[str, ...]) -> type:
    """Return a subclass of `cls` that taps what its `__call__` returns as `path`."""

    def __call__(self, *args, **kwargs):
        # Scopes already hold the path of the enclosing module.
        outer = _enclosing.value
        inside = path[: len(outer)] == outer
        name = "/".join(path[len(outer) :] if inside else path)
        inner = scope(name) if name else contextlib.nullcontext()
        with _enclosing(path), _call(call_number()), inner:
            output = cls.__call__(self, *args, **kwargs)
        return _tap_arrays(output, name or "__call__")

    members = {
        "__call__": functools.update_wrapper(__call__, cls.__call__),
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
    }
    options = {} if getattr(cls, "_pytree__is_pytree", True) else {"pytree": False}
    return type(cls)(cls.__name__, (_unannounced(), cls), members, **options)


@functools.cache
def _unannounced() -> type:
    """Return a base in front of a user's class that leaves out `__init_subclass__`.

    A class of the user may want arguments there, or keep a list of its subclasses.
    """
    from flax import nnx

    class Unannounced(nnx.Module):
        def __init_subclass__(cls, **options):
            nnx.Module.__init_subclass__.__func__(cls, **options)

    # What Flax noted there would hide what it noted of the user's class.
    for name in [name for name in vars(Unannounced) if name.startswith("_pytree__")]:
        delattr(Unannounced, name)
    return Unannounced


def _tap_arrays(output: Any, name: str) -> Any:
    """Tap every array of `output` once; arrays that it holds twice stay the same."""
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
        key: tap(leaf, name if single else f"{name}/{_place(path)}")
        for key, (path, leaf) in reversed(arrays.items())
    }
    return treedef.unflatten([tapped.get(id(leaf), leaf) for _, leaf in leaves])


def _place(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
