"""The state of a measurement while the loss is traced: scopes, patterns and keys.

Taps are inserted at trace time, and only while something measures. User contexts
(`jax.make_user_context`) are part of every jit cache key, so a function that was
compiled without taps is traced again under `measure`, and its taps are found.

JAX returns the logs of a backward pass in a dictionary, without their order. So the key
of a log contains the number of the tap in its trace, which gives the order of the
calls. It also contains the number of the trace, because a function in JAX's cache comes
with the keys of an earlier trace.
"""

import contextlib
import fnmatch
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax


class Recording:
    """The taps of one trace.

    Attributes:
        number: The number of the trace.
        names: The names of all taps in the trace, in order, including those that no
            pattern matches: the keys of a dictionary, whose values are None.
        taps: Counts the taps.
        calls: Counts the calls of modules.
    """

    _numbers = itertools.count()

    def __init__(self):
        self.number = next(Recording._numbers)
        self.names: dict[str, None] = {}
        self.taps = itertools.count()
        self.calls = itertools.count()


class LogKey(NamedTuple):
    """The parts of the key of a log.

    Attributes:
        name: Name of the tap, with its scopes.
        number: Number of the tap in its trace.
        recording: Number of the trace.
        shards: Number of shards of the tapped array inside `shard_map`; 1 outside.
    """

    name: str
    number: int
    recording: int
    shards: int

    @classmethod
    def parse(cls, text: str) -> "LogKey":
        """Read a key from its string, `name#number.recording.shards`."""
        name, _, numbers = text.rpartition("#")
        return cls(name, *map(int, numbers.split(".")))


# The names of the enclosing scopes; None while nothing measures.
_scope_path = jax.make_user_context(default_value=None)
# Patterns of the names to tap; None taps all.
_patterns = jax.make_user_context(default_value=None)
# The number of a trace that may not use functions from JAX's cache, otherwise None.
_retraced = jax.make_user_context(default_value=None)
# Whether taps are equations of the program and measure nothing.
_as_marks = jax.make_user_context(default_value=False)
# The recording of the trace in each thread.
_thread = threading.local()


def check_name(name: object) -> None:
    """Raise unless `name` is a string that is not empty."""
    wanted = "wanted the name of the statistics, such as 'hidden'"
    if not isinstance(name, str):
        kind = type(name).__name__
        raise TypeError(f"`name` is of type {kind}; {wanted}, as a string.")
    if not name:
        raise ValueError(f"`name` is empty; {wanted}.")


@contextlib.contextmanager
def scope(name: str) -> Iterator[None]:
    """Put `name` before the names of all taps inside the `with` block.

    Args:
        name: The name of the scope.

    Raises:
        TypeError: If `name` is not a string.
        ValueError: If `name` is empty.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import measure, scope, tap
        >>> def loss(w):
        ...     with scope("encoder"):
        ...         return jnp.sum(tap(w, "w"))
        >>> list(measure(loss, jnp.ones(3)).taps)
        ['encoder/w']
    """
    check_name(name)
    path = _scope_path.value
    if path is None:
        yield
    else:
        with _scope_path((*path, name)):
            yield


@contextlib.contextmanager
def record_taps(
    patterns: tuple[str, ...] | None = None,
    *,
    retrace: bool = False,
    as_marks: bool = False,
) -> Iterator[Recording]:
    """Insert taps into the functions that are traced inside the `with` block.

    Args:
        patterns: Shell wildcards; a tap whose name matches none of them is not
            inserted. None inserts all.
        retrace: Whether functions in JAX's cache are traced again.
        as_marks: Whether each tap is an equation of the traced program, as `mark`
            inserts it, and measures nothing.

    Yields:
        The recording of the taps.
    """
    outer = vars(_thread).copy()
    _thread.recording = recording = Recording()
    try:
        number = recording.number if retrace else None
        with (
            _scope_path(()),
            _patterns(patterns),
            _retraced(number),
            _as_marks(as_marks),
        ):
            yield recording
    finally:
        vars(_thread).clear()
        vars(_thread).update(outer)


def is_measuring() -> bool:
    """Return whether the current trace is measured, so that taps are inserted."""
    return _scope_path.value is not None


def shows_taps() -> bool:
    """Return whether taps are equations of the program that is traced."""
    return _as_marks.value


def with_same_taps(branches: Sequence[Callable[[], Any]]) -> list[Callable[[], Any]]:
    """Return the branches, of which one will run, with the same numbers for their taps.

    Each branch counts its taps from the number at which the first one starts. Taps with
    the same key are one tap, whichever branch of `lax.cond` runs.
    """
    if not is_measuring():
        return list(branches)
    recording = _thread.recording
    start = last = next(recording.taps)
    recording.taps = itertools.count(start)

    def numbered(branch: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            nonlocal last
            recording.taps = itertools.count(start)
            result = branch()
            last = max(last, next(recording.taps))
            recording.taps = itertools.count(last)
            return result

        return run

    return [numbered(branch) for branch in branches]


def next_call_number() -> int | None:
    """Count a call of a module and return its number; None if nothing measures."""
    return next(_thread.recording.calls) if is_measuring() else None


def new_key(name: str) -> str | None:
    """Record a tap; return the start of its key, or None if no pattern matches."""
    full_name = "/".join((*(_scope_path.value or ()), name))
    recording = _thread.recording
    recording.names[full_name] = None
    patterns = _patterns.value
    if patterns is not None and not any(
        fnmatch.fnmatchcase(full_name, pattern) for pattern in patterns
    ):
        return None
    return f"{full_name}#{next(recording.taps)}.{recording.number}"
