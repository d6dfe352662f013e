"""The state of a measurement while the loss is traced: scopes, patterns and keys.

Taps are inserted at trace time, and only while something measures. User contexts
(`jax.make_user_context`) are part of every jit cache key, so a function that was
compiled without taps is traced again under `measure`, and its taps are found.

The context has the same values in every call of the same loss, so that JAX's caches
are hit from the second call on. A function in JAX's cache comes with the keys of an
earlier trace. So the key of a tap contains the number of the recording in which it was
traced, and `logs_in_order` finds the order of the calls in the linearized program.
"""

import contextlib
import fnmatch
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax


class Recording:
    """The numbers of the taps and of the calls of modules in one trace of a loss.

    Attributes:
        number: The number of the trace.
        taps: Counts the taps.
        calls: Counts the calls of modules.
        hidden: The keys of logs that an outer derivative does not see.
    """

    _numbers = itertools.count()

    def __init__(self):
        self.number = next(Recording._numbers)
        self.taps = itertools.count()
        self.calls = itertools.count()
        self.hidden: set[str] = set()


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


class Context(NamedTuple):
    """What a tap depends on besides its arguments; part of JAX's cache keys.

    Attributes:
        scopes: The names of the enclosing scopes.
        patterns: Patterns of the names to tap; None taps all.
        mesh_axes: The axes of the `shard_map`s around `measure`.
        module: The path of the module whose method is being traced.
        call: The number of that call.
        to_read: Whether the program is only analysed, and nothing is measured.
        nested: Whether the outer derivative measures taps inside inner ones.
    """

    scopes: tuple[str, ...] = ()
    patterns: tuple[str, ...] | None = None
    mesh_axes: frozenset[Any] = frozenset()
    module: tuple[str, ...] = ()
    call: int | None = None
    to_read: bool = False
    nested: bool = True


# None while nothing measures.
_context = jax.make_user_context(default_value=None)
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
    context = _context.value
    if context is None:
        yield
    else:
        with _context(context._replace(scopes=(*context.scopes, name))):
            yield


@contextlib.contextmanager
def module_call(path: tuple[str, ...]) -> Iterator[str]:
    """Put the path of a module before the names of the taps in a call of a method.

    Each call of a module has a number, which is a user context and so part of every jit
    cache key. A function that is jitted inside the module is therefore traced anew for
    each call, and the taps of two calls have different keys.

    Args:
        path: The path of the module in the model.

    Yields:
        The path below the enclosing module's, which is a scope already.
    """
    context = _context.value
    if context is None:
        yield "/".join(path)
        return
    outer = context.module
    name = "/".join(path[len(outer) :] if path[: len(outer)] == outer else path)
    scopes = (*context.scopes, name) if name else context.scopes
    call = next(_thread.recording.calls)
    with _context(context._replace(scopes=scopes, module=path, call=call)):
        yield name


@contextlib.contextmanager
def record_taps(
    patterns: tuple[str, ...] | None = None,
    *,
    to_read: bool = False,
    nested: bool = True,
) -> Iterator[Recording]:
    """Insert taps into the functions that are traced inside the `with` block.

    Args:
        patterns: Shell wildcards; a tap whose name matches none of them is not
            inserted. None inserts all.
        to_read: Whether the program is only analysed, and nothing is measured.
        nested: Whether the outer derivative measures the taps inside derivatives that
            the loss takes itself. Under `jax.checkpoint` it would measure these twice.

    Yields:
        The recording of the taps.
    """
    outer = vars(_thread).copy()
    _thread.recording = recording = Recording()
    context = Context(
        patterns=patterns,
        mesh_axes=frozenset(jax.sharding.get_abstract_mesh().manual_axes),
        to_read=to_read,
        nested=nested,
    )
    try:
        with _context(context):
            yield recording
    finally:
        vars(_thread).clear()
        vars(_thread).update(outer)


def is_measuring() -> bool:
    """Return whether the current trace is measured, so that taps are inserted."""
    return _context.value is not None


def is_read() -> bool:
    """Return whether the program is traced only to be analysed, with taps as equations.

    Layers then leave out their hand-written derivatives, in which taps are no
    equations.
    """
    context = _context.value
    return context is not None and context.to_read


def unmeasured() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which no taps are inserted."""
    return _context(None)


def outer_mesh_axes() -> frozenset[Any]:
    """Return the axes of the `shard_map`s around `measure`."""
    context = _context.value
    return frozenset() if context is None else context.mesh_axes


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


def note_hidden(logs: dict[str, Any]) -> dict[str, Any]:
    """Return `logs`, from a backward pass whose taps an outer derivative does not see.

    `measure` warns of them if the loss takes this derivative itself.
    """
    if is_measuring():
        _thread.recording.hidden.update(logs)
    return logs


def measures_nested() -> bool:
    """Return whether the outer derivative measures taps inside inner ones."""
    return (_context.value or Context()).nested


def new_mark() -> str:
    """Return a key without a name, for `logs_in_order`; empty if nothing measures."""
    return _numbered("") if is_measuring() else ""


def new_key(name: str) -> str | None:
    """Return the start of the key of a tap; None if no pattern matches its name."""
    context = _context.value or Context()
    full_name = "/".join((*context.scopes, name))
    if context.patterns is not None and not any(
        fnmatch.fnmatchcase(full_name, pattern) for pattern in context.patterns
    ):
        return None
    return _numbered(full_name)


def _numbered(name: str) -> str:
    recording = _thread.recording
    return f"{name}#{next(recording.taps)}.{recording.number}"
