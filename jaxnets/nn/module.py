"""The base class of all modules, and the decorator that makes one a dataclass."""

import dataclasses
import inspect
import typing

from flax import nnx

from jaxnets.nn.construction import construct_compiled


class _ConstructorSignature:
    """The signature of a class as `inspect` shows it: that of its constructor."""

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        if instance is not None:
            # For an instance `inspect` then uses the signature of its `__call__`.
            raise AttributeError("__signature__")
        parameters = inspect.signature(owner.__init__).parameters.values()
        return inspect.Signature([_without_init_var(p) for p in parameters][1:])


def _without_init_var(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return a parameter annotated `X` for one annotated `InitVar[X]`."""
    annotation = parameter.annotation
    if isinstance(annotation, dataclasses.InitVar):
        return parameter.replace(annotation=annotation.type)
    return parameter


class Module(nnx.Module):
    """An `nnx.Module` whose class has the signature of its constructor.

    Without this, `inspect.signature` returns `(*args, **kwargs)` for every class, which
    is the signature of Flax's metaclass.
    """

    __signature__ = _ConstructorSignature()


class _CompiledConstruction(type(nnx.Module)):
    """The type of classes whose modules are each constructed by one compiled program.

    A subclass that a user writes is constructed as Flax does it: its constructor may
    read the values of weights, which a program that is being traced does not have.
    """

    def __call__(cls, *args: typing.Any, **options: typing.Any) -> typing.Any:
        construct = super().__call__
        if not cls.__module__.startswith("jaxnets.") or "rngs" not in options:
            return construct(*args, **options)
        rngs = options.pop("rngs")
        return construct_compiled(lambda r: construct(*args, rngs=r, **options), rngs)


class CompiledModule(Module, metaclass=_CompiledConstruction):
    """A module that one compiled program constructs, however many parameters it has.

    The recurrent layers are plain modules: their initialisers draw small blocks of few
    shapes, whose programs JAX keeps, and a program of their own for every layer takes
    longer to compile.
    """


@typing.dataclass_transform(field_specifiers=(dataclasses.field,))
def layer[M: type[nnx.Module]](cls: M) -> M:
    """Make a module a dataclass, compared by identity and shown as Flax shows it.

    Arguments that are needed only to make the parameters are annotated as `InitVar`.
    """
    cls = dataclasses.dataclass(cls, eq=False, repr=False)
    for name, annotation in cls.__annotations__.items():
        if isinstance(annotation, dataclasses.InitVar) and name in vars(cls):
            # Every instance would seem to have the default as its value.
            delattr(cls, name)
    return cls
