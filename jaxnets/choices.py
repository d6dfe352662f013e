"""The choice of an implementation, and `plan`, which reports it.

A function with several implementations lists them as `Candidate`s, the preferred one
first, each with the reason against it, if there is one, for the given arguments.
`choose` returns the one that runs. Every choice goes through `choose`, so what `plan`
reports is what a call runs.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np


class Candidate(NamedTuple):
    """An implementation that a function may run for the given arguments.

    Attributes:
        name: Its name, as passed to `implementation`.
        against: The reason not to choose it, or None.
        possible: Whether it can run for these arguments, if its name forces it.
    """

    name: str
    against: str | None = None
    possible: bool = True


class Choice(NamedTuple):
    """The choice that one call of a function makes.

    Attributes:
        function: Name of the function.
        implementation: The implementation that runs.
        others: Why each of the other implementations does not run, by name.
    """

    function: str
    implementation: str
    others: dict[str, str]


class Plan(NamedTuple):
    """Which implementations a call runs. `plan` returns it; `print` shows it as text.

    Attributes:
        backend: The backend that the choices are for: "cpu", "gpu" or "tpu".
        choices: The choices that the call makes, in order. A function with one
            implementation makes none.

    Example:
        >>> import jax
        >>> import jaxnets
        >>> import jaxnets.functional as F
        >>> x = jax.ShapeDtypeStruct((32, 64, 64, 16), "float32")
        >>> jaxnets.plan(F.avg_pool, x, 5, strides=2).implementation
        'reduce_window'
    """

    backend: str
    choices: tuple[Choice, ...]

    @property
    def implementation(self) -> str | None:
        """The implementation of the first choice, or None if no choice is made."""
        return self.choices[0].implementation if self.choices else None

    @property
    def others(self) -> dict[str, str]:
        """Why each of the other implementations of the first choice does not run."""
        return self.choices[0].others if self.choices else {}

    def __str__(self) -> str:
        if not self.choices:
            return f"{self.backend}: no choice to make, there is one implementation"
        lines = []
        for function, implementation, others in self.choices:
            lines.append(f"{function} on {self.backend}: {implementation}")
            lines += [f"  not {name}: {reason}" for name, reason in others.items()]
        return "\n".join(lines)


class _Recorder:
    """Collects choices.

    It is compared by identity, so JAX does not reuse a trace made for another recorder.
    """

    def __init__(self):
        self.choices: list[Choice] = []


# None outside of `plan`. A user context is part of every jit cache key, so `plan` sees
# the choices of a function that was compiled before: JAX traces it anew.
_recorder = jax.make_user_context(default_value=None)


def choose(function: str, forced: str | None, candidates: Sequence[Candidate]) -> str:
    """Return the name of the implementation that runs.

    Args:
        function: Name of the function that chooses, for `plan`.
        forced: The caller's `implementation`. None takes the first candidate that has
            no reason against it.
        candidates: All implementations, the preferred one first. At least one has no
            reason against it.

    Raises:
        ValueError: If `forced` is unknown or cannot run for these arguments.

    Example:
        >>> choose("f", None, [Candidate("fast", "float32 only"), Candidate("plain")])
        'plain'
    """
    reasons = {name: against for name, against, _ in candidates}
    if forced is None:
        name = next(name for name, against in reasons.items() if against is None)
    elif not isinstance(forced, str) or forced not in reasons:
        names = ", ".join(map(repr, reasons))
        raise ValueError(
            f"`implementation` is {forced!r}; wanted None or one of {names}."
        )
    else:
        name = forced
        impossible = {c.name: c.against for c in candidates if not c.possible}
        if name in impossible:
            free = ", ".join(repr(c.name) for c in candidates if c.possible)
            raise ValueError(
                f"`implementation` is {name!r}, which cannot run here: "
                f"{impossible[name]}. Wanted None or one of {free}."
            )
    if _recorder.value is not None:
        instead = f"{name!r} is forced" if forced else f"{name!r} is preferred"
        others = {n: why or instead for n, why in reasons.items() if n != name}
        _recorder.value.choices.append(Choice(function, name, others))
    return name


def plan(function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Plan:
    """Return which implementation a call runs on this backend, and why no other.

    The call is traced, not computed, so a `jax.ShapeDtypeStruct` may take the place of
    an array.

    Args:
        function: A function of `jaxnets.functional`, or any function that calls some,
            such as a model.
        *arguments: Its arguments.
        **options: Its keyword arguments.

    Returns:
        The `Plan`. `print` shows it as text.

    Raises:
        TypeError: If `function` is not callable, or raises it for these arguments.
        ValueError: If `function` is not one of jaxnets and makes no choice, or raises
            it for these arguments.

    Example:
        >>> import jax
        >>> import jaxnets
        >>> import jaxnets.functional as F
        >>> x = jax.ShapeDtypeStruct((32, 64, 64, 16), "float32")
        >>> print(jaxnets.plan(F.avg_pool, x, 5, strides=2))
        avg_pool on cpu: reduce_window
          not shifts: windows of 25 elements, more than 9
          not reshape: windows overlap

    Flax, Keras and PyTorch do not report their choices.
    """
    if not callable(function):
        raise TypeError(
            f"`function` is of type {type(function).__name__}; wanted a function, and "
            "after it its arguments, as in `plan(F.avg_pool, x, 2)`."
        )
    leaves, structure = jax.tree.flatten((arguments, options))
    kinds = (jax.Array, np.ndarray, jax.ShapeDtypeStruct)
    indices = [i for i, leaf in enumerate(leaves) if isinstance(leaf, kinds)]

    def call(arrays: list[jax.Array]) -> Any:
        filled = list(leaves)
        for index, array in zip(indices, arrays, strict=True):
            filled[index] = array
        arguments, options = jax.tree.unflatten(structure, filled)
        function(*arguments, **options)

    recorder = _Recorder()
    with _recorder(recorder):
        jax.eval_shape(call, [leaves[index] for index in indices])
    if not recorder.choices and not _is_ours(function):
        name = getattr(function, "__name__", type(function).__name__)
        raise ValueError(
            f"`function` is {name}, which calls no function of jaxnets that chooses an "
            "implementation; wanted one that does, such as `F.conv`, `F.max_pool` or "
            "`F.lstm`, or a function or model that calls it."
        )
    return Plan(jax.default_backend(), tuple(recorder.choices))


def _is_ours(function: Callable[..., Any]) -> bool:
    """Return whether jaxnets defines `function`, or the class of a callable object."""
    inner = inspect.unwrap(getattr(function, "func", function))
    module = getattr(inner, "__module__", None) or type(inner).__module__
    return module.split(".")[0] == "jaxnets"
