"""Subclasses of the user's classes, whose methods tap what they return.

The class is part of Flax's graph definition, so taps also work inside `nnx.scan`,
`nnx.RNN`, `nnx.remat` and other transforms that split and merge a module.
"""

import functools
import inspect
from typing import Any

import jax

from jaxnets.gradflow.capture.outputs import tap_output
from jaxnets.tap import module_call


def insert_taps(model: Any, prefix: tuple[str, ...] = ()) -> None:
    """Change the classes of `model` and its submodules to ones that tap the output.

    Args:
        model: An `nnx.Module`.
        prefix: The first parts of the names of the taps.
    """
    from flax import nnx

    for path, submodule in nnx.iter_modules(model):
        if _methods(type(submodule)):
            tapped = _tapped_class(type(submodule), (*prefix, *map(str, path)))
            object.__setattr__(submodule, "__class__", tapped)


@functools.cache
def _methods(cls: type) -> tuple[str, ...]:
    """Return the names of the methods to tap: `__call__`, and the user's public ones.

    Those of Flax's base classes, such as `train` and `sow`, are not tapped, nor are
    properties, static methods and class methods.
    """
    from flax import nnx

    is_called = any("__call__" in vars(base) for base in cls.__mro__)
    call = ("__call__",) if is_called else ()
    if issubclass(cls, nnx.List | nnx.Dict):
        return call
    own = [base for base in cls.__mro__ if base not in nnx.Module.__mro__]
    public = {name for base in own for name in vars(base) if not name.startswith("_")}
    return call + tuple(name for name in sorted(public) if _is_method(cls, name))


def _is_method(cls: type, name: str) -> bool:
    member = inspect.getattr_static(cls, name)
    others = property | staticmethod | classmethod | type
    binds = hasattr(type(member), "__get__") and callable(member)
    return binds and not isinstance(member, others)


# Cached because JAX and Flax keep every class, and because jit finds a compiled
# function again only if the class is the same.
@functools.cache
def _tapped_class(cls: type, path: tuple[str, ...]) -> type:
    """Return a subclass of `cls` that taps what its methods return as `path`."""
    members = {name: _tapping(cls, name, path) for name in _methods(cls)} | {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
    }
    options = {} if getattr(cls, "_pytree__is_pytree", True) else {"pytree": False}
    return _tapping_metaclass(type(cls))(cls.__name__, (cls,), members, **options)


def _tapping(cls: type, name: str, path: tuple[str, ...]) -> Any:
    """Return the method of `cls` with taps at its output."""
    method = getattr(cls, name)

    def tapping(self, *args, **kwargs):
        with module_call(path) as module:
            output = method(self, *args, **kwargs)
        if name == "__call__":
            return tap_output(output, module or name, cls)
        # A method without an array among its arguments only reads the module.
        if not any(
            isinstance(leaf, jax.Array) for leaf in jax.tree.leaves((args, kwargs))
        ):
            return output
        return tap_output(output, f"{module}/{name}" if module else name, cls)

    wrapped: Any = functools.update_wrapper(tapping, method)
    return wrapped


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
