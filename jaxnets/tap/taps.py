"""Taps, and what is known of those that a trace meets.

Taps are inserted at trace time and only while something measures: otherwise `tap`
returns its argument untouched, so a program with taps is the same program, forward mode
included. `jax.make_user_context` makes "measuring" part of every jit cache key, which
is why a function that was compiled before still shows its taps.

A log of JAX has a key and no place. The key of a tap holds its name and its number in
the trace, from which the order of the calls is read; and which trace that was, because
a function that JAX has in its cache comes with the numbers of an earlier one.
"""

import contextlib
import fnmatch
import functools
import itertools
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnets.tap.statistics import (
    ResponseStats,
    TapStats,
    summarise,
    summarise_response,
)


class Passage(NamedTuple):
    """Both ways through a tap. What nobody reads is dead code to the compiler.

    Attributes:
        forward: Of the array itself.
        backward: Of its cotangent.
        one: Inside of `shard_map` an array of shape `(1,)`; see `_by_shard`.
    """

    forward: ResponseStats
    backward: TapStats
    one: Float[Array, "..."] | None


class Recording:
    """The taps of one trace.

    Attributes:
        number: Its own.
        names: The names that were met, chosen or not, as keys in their order.
        taps: Counts the taps.
        calls: Counts the calls of modules.
    """

    _numbers = itertools.count()

    def __init__(self):
        self.number = next(Recording._numbers)
        self.names: dict[str, None] = {}
        self.taps = itertools.count()
        self.calls = itertools.count()


class Key(NamedTuple):
    """What stands in the key of a log.

    Attributes:
        name: Of the tap.
        number: Of the tap in its trace.
        recording: Number of the trace.
        shards: Over how many parts `shard_map` spread the array.
    """

    name: str
    number: int
    recording: int
    shards: int

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read what `tap` and its backward pass wrote."""
        name, _, numbers = text.rpartition("#")
        return cls(name, *map(int, numbers.split(".")))


# Values and their cotangents, by the name of the tap that sees them.
Tapped = dict[str, tuple[Any, Any]]

# None while nothing measures, otherwise the path of the enclosing scopes.
_scope_path = jax.make_user_context(default_value=None)
# Patterns of the names that are tapped; None taps all.
_patterns = jax.make_user_context(default_value=None)
# Set where nothing that an earlier trace left in a cache may be met.
_unshared = jax.make_user_context(default_value=None)
# The recording of each thread that traces.
_traced = threading.local()


def tap(x: jax.Array, name: str) -> jax.Array:
    """Return `x`; under `jaxnets.gradflow.measure`, summarise its cotangent as `name`.

    `tap(x, name) = x`, and the summary of `dL/dx` is a `TapStats`, not the cotangent
    itself, so nothing of the size of `x` is kept. Inside `jax.lax.scan` the statistics
    get a leading axis, aligned with the forward steps. A name that occurs again gets
    a number: `h`, `h#2`, and so on in the order of the calls.

    Args:
        x: Array of any shape. Integers pass without a tap: they have no cotangent.
        name: What the statistics are called, below the enclosing `scope`.

    Returns:
        `x` itself.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import measure, tap
        >>> loss = lambda w: jnp.sum(tap(w * 2.0, "hidden") ** 2)
        >>> flow = measure(loss, jnp.array([3.0, 4.0]))
        >>> flow.taps["hidden"].norm
        Array(20., dtype=float32)
    """
    if not listening() or not jnp.issubdtype(jnp.result_type(x), jnp.inexact):
        return x
    key = _key(name)
    return x if key is None else _recorded_identity(x, key)


def taps_by_hand(
    names: Sequence[str],
) -> Callable[[Tapped], dict[str, Passage]]:
    """Place taps for a derivative that is written by hand, while something measures.

    Args:
        names: Of the taps, in the order of the forward pass.

    Returns:
        A function of the values and cotangents of the taps, to be called where these
        pass back; what it returns belongs to the logs of the derivative.
    """
    keys = {name: _key(name) for name in names}

    def log(tapped: Tapped) -> dict[str, Passage]:
        chosen = {key: tapped[name] for name, key in keys.items() if key is not None}
        return _logs(
            {key: (summarise_response(x), ct) for key, (x, ct) in chosen.items()}
        )

    return log


def _key(name: str) -> str | None:
    """Note the tap `name` of this trace; return None if no pattern chooses it."""
    full_name = "/".join((*(_scope_path.value or ()), name))
    recording = _traced.recording
    recording.names[full_name] = None
    patterns = _patterns.value
    if patterns is not None and not any(
        fnmatch.fnmatchcase(full_name, pattern) for pattern in patterns
    ):
        return None
    return f"{full_name}#{next(recording.taps)}.{recording.number}"


@contextlib.contextmanager
def scope(name: str) -> Iterator[None]:
    """Put `name` before the names of all taps inside the `with` block.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import measure, scope, tap
        >>> def loss(w):
        ...     with scope("encoder"):
        ...         return jnp.sum(tap(w, "w"))
        >>> list(measure(loss, jnp.ones(3)).taps)
        ['encoder/w']
    """
    path = _scope_path.value
    if path is None:
        yield
    else:
        with _scope_path((*path, name)):
            yield


@contextlib.contextmanager
def recording(
    patterns: tuple[str, ...] | None = None, *, unshared: bool = False
) -> Iterator[Recording]:
    """Insert taps into whatever is traced inside the `with` block.

    Args:
        patterns: Shell wildcards; a tap whose name matches none of them is not
            inserted. None inserts all.
        unshared: Whether functions that were traced before are traced again.

    Yields:
        What is known of the taps.
    """
    outer = vars(_traced).copy()
    _traced.recording = new = Recording()
    try:
        trial = new.number if unshared else None
        with _scope_path(()), _patterns(patterns), _unshared(trial):
            yield new
    finally:
        vars(_traced).clear()
        vars(_traced).update(outer)


def listening() -> bool:
    """Return whether what is traced now is measured, so that taps are inserted."""
    return _scope_path.value is not None


def call_number() -> int | None:
    """Return the number of the call of a module that begins; None if none measures."""
    return next(_traced.recording.calls) if listening() else None


def plain_names(logs: dict[Key, Passage]) -> dict[str, Passage]:
    """Turn the keys of `logs` into the names a reader expects, in order.

    JAX may trace a body more than once and keep the last, so of the numbers only their
    order means something.
    """
    named: dict[str, Passage] = {}
    occurrences: Counter[str] = Counter()
    for key in sorted(logs, key=lambda key: key.number):
        occurrences[key.name] += 1
        count = occurrences[key.name]
        name = key.name if count == 1 else f"{key.name}#{count}"
        named[name] = _by_shard(logs[key], key.shards)
    return named


def _by_shard(passage: Passage, shards: int) -> Passage:
    """Give the shards of `shard_map` an axis of their own.

    JAX puts the shards behind one another on the first axis: `(shards,)` from scalars,
    but `(shards * time,)` from a loop inside. A log that is no scalar to begin with
    tells the two apart: only outside of loops it does not gain an axis.
    """
    shape = passage.backward.norm.shape
    if passage.one is None or passage.one.ndim == len(shape):
        return passage
    axis = next(a for a, size in enumerate(shape) if size % shards == 0)
    parted = (*shape[:axis], shards, shape[axis] // shards, *shape[axis + 1 :])
    return jax.tree.map(
        lambda values: values.reshape(parted), passage._replace(one=None)
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _recorded_identity(x: jax.Array, key: str) -> jax.Array:
    del key
    return x


def _forward(x, key: str) -> tuple[jax.Array, ResponseStats]:
    del key
    x = jnp.asarray(x)  # NumPy parameters arrive here as they are
    return x, summarise_response(x)


def _backward(key: str, response: ResponseStats, cotangent: jax.Array):
    return (cotangent,), _logs({key: (response, cotangent)})


def _logs(passing: dict[str, tuple[ResponseStats, jax.Array]]) -> dict[str, Passage]:
    """Summarise the cotangents that pass back together, by the keys of their taps."""
    summaries = summarise(*(cotangent for _, cotangent in passing.values()))
    logs: dict[str, Passage] = {}
    for (key, (response, cotangent)), summary in zip(
        passing.items(), summaries, strict=True
    ):
        shards = _shards(cotangent)
        one = None if shards == 1 else jnp.zeros(1)
        logs[f"{key}.{shards}"] = Passage(response, summary, one)
    return logs


def _shards(x: jax.Array) -> int:
    """Return how many parts `shard_map` made of what `x` is a part of."""
    mesh = jax.sharding.get_abstract_mesh()
    varying = lambda x: jax.typeof(x).mat.varying
    # Without `check_vma` nothing is known to vary, and all axes count.
    known = any(varying(jax.lax.axis_index(name)) for name in mesh.manual_axes)
    names = varying(x) if known else mesh.manual_axes
    return math.prod(mesh.shape[name] for name in names)


_recorded_identity.defvjp_with_logs(_forward, _backward)
