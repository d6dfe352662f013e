"""Choices: which implementation of a function runs here, and why the others do not.

A function with several implementations lists them as `Candidate`s, the preferred one
first, each with what speaks against it for the arguments at hand; `choose` picks. Since
every choice goes through `choose`, `plan` can report what a call would run, and cannot
disagree with it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np


class Candidate(NamedTuple):
    """An implementation, as it stands for the arguments at hand.

    Attributes:
        name: What `implementation` calls it.
        against: Why it is not chosen; None if nothing speaks against it.
        possible: Whether it can run at all, so that its name may force it.
    """

    name: str
    against: str | None = None
    possible: bool = True


class Choice(NamedTuple):
    """What one call runs.

    Attributes:
        function: The function that chose.
        implementation: The implementation that runs.
        others: For every other implementation, why it does not.
    """

    function: str
    implementation: str
    others: dict[str, str]


class Plan(NamedTuple):
    """What a call would run.

    Attributes:
        backend: The backend it is for: "cpu", "gpu" or "tpu".
        choices: The choices made on the way, in order. None are made by functions
            with one implementation.
    """

    backend: str
    choices: tuple[Choice, ...]

    @property
    def implementation(self) -> str | None:
        """The implementation of the first choice; None if there was none to make."""
        return self.choices[0].implementation if self.choices else None

    @property
    def others(self) -> dict[str, str]:
        """For every other implementation of the first choice, why it does not run."""
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
    """Collects choices. Compared by identity, so no trace is shared between two."""

    def __init__(self):
        self.choices: list[Choice] = []


# None while nothing plans. Being a user context it is part of every jit cache key, so
# a function that was compiled before still shows its choices.
_recorder = jax.make_user_context(default_value=None)


def choose(function: str, forced: str | None, candidates: Sequence[Candidate]) -> str:
    """Return the name of the implementation that runs.

    Args:
        function: Who asks, for `plan`.
        forced: The caller's `implementation`; None takes the first candidate that
            nothing speaks against.
        candidates: All implementations, the preferred one first. Nothing may speak
            against one of them at least.

    Raises:
        ValueError: If `forced` is unknown, or cannot run.

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
    """Say which implementation a call would run on this backend, and why no other.

    The call is traced, not computed: `jax.ShapeDtypeStruct` may stand for an array.

    Args:
        function: Any function: one of `jaxnets.functional`, or one that calls it, such
            as a model.
        *arguments: Its arguments.
        **options: Its keyword arguments.

    Returns:
        The `Plan`; `print` shows it as text.

    Raises:
        TypeError: Whatever `function` raises for these arguments.
        ValueError: The same.

    Example:
        >>> import jax
        >>> import jaxnets
        >>> import jaxnets.functional as F
        >>> x = jax.ShapeDtypeStruct((32, 64, 64, 16), "float32")
        >>> print(jaxnets.plan(F.avg_pool, x, 5, strides=2))
        avg_pool on cpu: reduce_window
          not shifts: windows of 25 elements, more than 9
          not reshape: windows overlap

    Flax, Keras and PyTorch choose silently.
    """
    leaves, structure = jax.tree.flatten((arguments, options))
    kinds = (jax.Array, np.ndarray, jax.ShapeDtypeStruct)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, kinds)]

    def call(arrays: list[jax.Array]) -> Any:
        filled = list(leaves)
        for place, array in zip(places, arrays, strict=True):
            filled[place] = array
        arguments, options = jax.tree.unflatten(structure, filled)
        function(*arguments, **options)

    recorder = _Recorder()
    with _recorder(recorder):
        jax.eval_shape(call, [leaves[place] for place in places])
    return Plan(jax.default_backend(), tuple(recorder.choices))
