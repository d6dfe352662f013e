"""The choice of an implementation, and `plan`, which reports it.

A function with several implementations lists them as `Candidate`s for each platform,
the preferred one first, each with the reason against it, if there is one, for the given
arguments. `choose` returns the one that runs, and `run_chosen` runs it on the platform
that the program is lowered for. Every choice goes through `choose`, so what `plan`
reports is what a call runs.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnets.platforms import PLATFORMS, default_platform, run_by_platform


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
        backend: The platform that the choices are for, such as "cpu", "gpu" or "tpu".
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


class Chosen(NamedTuple):
    """What `choose` returns: the implementation that runs on each platform.

    Attributes:
        names: The name of the implementation, by platform.
        reasons: For each platform without one, why the forced one cannot run there.
    """

    names: dict[str, str]
    reasons: dict[str, str]


class _Recorder:
    """Collects the choices for one platform.

    It is compared by identity, so JAX does not reuse a trace made for another recorder.
    """

    def __init__(self, platform: str):
        self.platform = platform
        self.choices: list[Choice] = []


# None outside of `plan`. A user context is part of every jit cache key, so `plan` sees
# the choices of a function that was compiled before: JAX traces it anew.
_recorder = jax.make_user_context(default_value=None)


def choose(
    function: str,
    forced: str | None,
    candidates: Callable[[str], Sequence[Candidate]],
) -> Chosen:
    """Return the name of the implementation that runs, for each platform.

    Args:
        function: Name of the function that chooses, for `plan`.
        forced: The caller's `implementation`. None takes the first candidate that has
            no reason against it.
        candidates: Returns, for one of `PLATFORMS`, all implementations, the preferred
            one first. At least one has no reason against it.

    Returns:
        What `run_chosen` takes. Within `plan` it has only the platform of the plan.

    Raises:
        ValueError: If `forced` is unknown or cannot run for these arguments on any
            platform, or on the platform of the plan.

    Example:
        >>> plain = Candidate("plain")
        >>> fast = lambda platform: Candidate(
        ...     "fast", "tuned for CPUs" if platform != "cpu" else None
        ... )
        >>> choose("f", None, lambda platform: [fast(platform), plain]).names["tpu"]
        'plain'
    """
    if _recorder.value is not None:
        platform = _recorder.value.platform
        options = candidates(platform)
        name = _preferred(forced, options)
        instead = f"{name!r} is forced" if forced else f"{name!r} is preferred"
        others = {n: why or instead for n, why, _ in options if n != name}
        _recorder.value.choices.append(Choice(function, name, others))
        return Chosen({platform: name}, {})
    chosen = Chosen({}, {})
    for platform in PLATFORMS:
        try:
            chosen.names[platform] = _preferred(forced, candidates(platform))
        except ValueError as error:
            chosen.reasons[platform] = str(error)
    if not chosen.names:
        raise ValueError(chosen.reasons.get(default_platform(), chosen.reasons["cpu"]))
    return chosen


def _preferred(forced: Any, candidates: Sequence[Candidate]) -> str:
    """Return the name of the candidate that runs."""
    reasons = {name: against for name, against, _ in candidates}
    if forced is None:
        return next(name for name, against in reasons.items() if against is None)
    if not isinstance(forced, str) or forced not in reasons:
        names = ", ".join(map(repr, reasons))
        raise ValueError(
            f"`implementation` is {forced!r}; wanted None or one of {names}."
        )
    impossible = {c.name: c.against for c in candidates if not c.possible}
    if forced in impossible:
        free = ", ".join(repr(c.name) for c in candidates if c.possible)
        raise ValueError(
            f"`implementation` is {forced!r}, which cannot run here: "
            f"{impossible[forced]}. Wanted None or one of {free}."
        )
    return forced


def run_chosen(chosen: Chosen, run: Callable[[str], Any]) -> Any:
    """Return `run(name)` with the implementation of the platform that is lowered for.

    Args:
        chosen: What `choose` returned.
        run: Returns a pytree of arrays, with the same shapes for every name. It may
            close over arrays.

    Raises:
        ValueError: On a platform on which a forced implementation cannot run.
    """
    return run_by_platform(chosen.names, run, chosen.reasons)


def plan(
    function: Callable[..., Any],
    /,
    *arguments: Any,
    platform: str | None = None,
    **options: Any,
) -> Plan:
    """Return which implementation a call runs on a platform, and why no other.

    The call is traced, not computed, so a `jax.ShapeDtypeStruct` may take the place of
    an array.

    Args:
        function: A function of `jaxnets.functional`, or any function that calls some,
            such as a model.
        *arguments: Its arguments.
        platform: The platform that the program is compiled for: "cpu", "tpu", "gpu",
            "cuda" or "rocm". None is that of the default device; "gpu" is "cuda" unless
            that device is a GPU of AMD.
        **options: Its keyword arguments.

    Returns:
        The `Plan`. `print` shows it as text.

    Raises:
        TypeError: If `function` is not callable, or raises it for these arguments.
        ValueError: If `function` is not one of jaxnets and makes no choice, or raises
            it for these arguments, or if `platform` is unknown.

    Example:
        >>> import jax
        >>> import jaxnets
        >>> import jaxnets.functional as F
        >>> x = jax.ShapeDtypeStruct((32, 64, 64, 16), "float32")
        >>> print(jaxnets.plan(F.avg_pool, x, 5, strides=2))
        avg_pool on cpu: reduce_window
          not shifts: windows of 25 elements, more than 9
          not native: tuned for accelerators
          not reshape: windows overlap
        >>> jaxnets.plan(F.avg_pool, x, 2, platform="tpu").implementation
        'native'

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

    platform, shown = _as_platform(platform)
    recorder = _Recorder(platform)
    with _recorder(recorder):
        jax.eval_shape(call, [leaves[index] for index in indices])
    if not recorder.choices and not _is_ours(function):
        name = getattr(function, "__name__", type(function).__name__)
        raise ValueError(
            f"`function` is {name}, which calls no function of jaxnets that chooses an "
            "implementation; wanted one that does, such as `F.conv`, `F.max_pool` or "
            "`F.lstm`, or a function or model that calls it."
        )
    return Plan(shown, tuple(recorder.choices))


def _as_platform(platform: str | None) -> tuple[str, str]:
    """Return one of `PLATFORMS`, and the name that a plan shows."""
    default = default_platform()
    if platform is None:
        shown = "gpu" if default in ("cuda", "rocm") else default
        return default if default in PLATFORMS else "rocm", shown
    if platform == "gpu":
        return "rocm" if default == "rocm" else "cuda", platform
    if platform not in PLATFORMS:
        names = ", ".join(map(repr, ("gpu", *PLATFORMS)))
        raise ValueError(f"`platform` is {platform!r}; wanted None or one of {names}.")
    return platform, platform


def _is_ours(function: Callable[..., Any]) -> bool:
    """Return whether jaxnets defines `function`, or the class of a callable object."""
    inner = inspect.unwrap(getattr(function, "func", function))
    module = getattr(inner, "__module__", None) or type(inner).__module__
    return module.split(".")[0] == "jaxnets"
