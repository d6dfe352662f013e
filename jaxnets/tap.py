"""`tap`: the identity whose cotangent is summarised while it passes back.

This is the one thing that both `functional` and `gradflow` need, so it lives below
both. Taps are inserted at trace time and only while something measures: otherwise
`tap` returns its argument untouched, so a program with taps is the same program,
forward mode included. `jax.make_user_context` makes "measuring" part of every jit
cache key, which is why a function that was compiled before still shows its taps.
"""

import contextlib
import fnmatch
import functools
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class TapStats(NamedTuple):
    """What a cotangent was, in four numbers.

    Each is of shape `()`, or `(time,)` where the tap stands in a time loop, or
    `(layers,)` where it stands in a scanned stack.

    Attributes:
        norm: Euclidean norm, right over the whole range of float32.
        max_abs: Largest absolute value.
        zero_fraction: Share of exact zeros.
        nonfinite_fraction: Share of NaN and infinities.
    """

    norm: Float[Array, " *steps"]
    max_abs: Float[Array, " *steps"]
    zero_fraction: Float[Array, " *steps"]
    nonfinite_fraction: Float[Array, " *steps"]


class ResponseStats(NamedTuple):
    """What a tapped array was on the way forward; shapes as in `TapStats`.

    Attributes:
        mean: Mean of the values.
        std: Standard deviation of the values.
        max_abs: Largest absolute value.
        zero_fraction: Share of exact zeros (for ReLU: the inactive share).
        saturated_fraction: Share of values whose magnitude is above 0.97. It is a
            saturated share only where the tap stands behind tanh, or, for the upper
            end, behind a sigmoid: a tap does not know its activation. For both ends
            of a sigmoid apply `jaxnets.gradflow.saturation` to the activations.
        nonfinite_fraction: Share of NaN and infinities.
    """

    mean: Float[Array, " *steps"]
    std: Float[Array, " *steps"]
    max_abs: Float[Array, " *steps"]
    zero_fraction: Float[Array, " *steps"]
    saturated_fraction: Float[Array, " *steps"]
    nonfinite_fraction: Float[Array, " *steps"]


class Passage(NamedTuple):
    """Both ways through a tap. What nobody reads is dead code to the compiler."""

    forward: ResponseStats
    backward: TapStats


# None while nothing measures, otherwise the path of the enclosing scopes.
_scope_path = jax.make_user_context(default_value=None)
# Patterns of the names that are tapped; None taps all.
_patterns = jax.make_user_context(default_value=None)
# The number of the next tap and the names met, for each thread that traces.
_traced = threading.local()

# An activation beyond it passes on only a small part of a gradient:
# tanh' = 1 - tanh^2 < 0.06 of its largest value, sigmoid' < 0.12 of its largest value.
SATURATED = 0.97


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
    path = _scope_path.value
    if path is None or not jnp.issubdtype(jnp.result_type(x), jnp.inexact):
        return x
    full_name = "/".join((*path, name))
    if not _is_wanted(full_name):
        return x
    return _recorded_identity(x, f"{full_name}#{next(_traced.numbers)}")


def _is_wanted(full_name: str) -> bool:
    """Note a name, and return whether a pattern matches it."""
    _traced.names[full_name] = None
    patterns = _patterns.value
    return patterns is None or any(
        fnmatch.fnmatchcase(full_name, pattern) for pattern in patterns
    )


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
def recording(patterns: tuple[str, ...] | None = None) -> Iterator[dict[str, None]]:
    """Insert taps into whatever is traced inside the `with` block.

    Args:
        patterns: Shell wildcards; a tap whose name matches none of them is not
            inserted. None inserts all.

    Yields:
        The names of the taps that are met, chosen or not, as keys in their order.
    """
    outer = vars(_traced).copy()
    _traced.numbers, _traced.names = itertools.count(), {}
    try:
        with _scope_path(()), _patterns(patterns):
            yield _traced.names
    finally:
        vars(_traced).clear()
        vars(_traced).update(outer)


def listening() -> bool:
    """Return whether what is traced now is measured, so that taps are inserted."""
    return _scope_path.value is not None


def taps_by_hand(
    names: Sequence[str],
) -> Callable[[str, jax.Array, jax.Array], dict[str, Passage]]:
    """Place taps for a derivative that is written by hand, while something measures.

    Args:
        names: Of the taps, in the order of the forward pass.

    Returns:
        `passes(name, value, cotangent)`, to be called where the cotangent passes back;
        the logs that it returns belong to those of the derivative.
    """
    keys: dict[str, str] = {}
    for name in names:
        full_name = "/".join((*(_scope_path.value or ()), name))
        if _is_wanted(full_name):
            keys[name] = f"{full_name}#{next(_traced.numbers)}"

    def passes(name: str, value: jax.Array, cotangent: jax.Array) -> dict[str, Passage]:
        if name not in keys:
            return {}
        return {keys[name]: Passage(summarise_response(value), summarise(cotangent))}

    return passes


def plain_names(logs: dict[str, Passage]) -> dict[str, Passage]:
    """Turn the numbered keys of `logs` into the names a reader expects, in order.

    The numbers are those of the trace. JAX may trace a body more than once and keep
    the last, so only their order means something.
    """
    named: dict[str, Passage] = {}
    occurrences: Counter[str] = Counter()
    for key in sorted(logs, key=lambda key: int(key.rpartition("#")[2])):
        name = key.rpartition("#")[0]
        occurrences[name] += 1
        count = occurrences[name]
        named[name if count == 1 else f"{name}#{count}"] = logs[key]
    return named


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _recorded_identity(x: jax.Array, key: str) -> jax.Array:
    del key
    return x


def _forward(x, key: str) -> tuple[jax.Array, ResponseStats]:
    del key
    x = jnp.asarray(x)  # NumPy parameters arrive here as they are
    return x, summarise_response(x)


def _backward(key: str, response: ResponseStats, cotangent: jax.Array):
    return (cotangent,), {key: Passage(response, summarise(cotangent))}


_recorded_identity.defvjp_with_logs(_forward, _backward)


def summarise(cotangent: jax.Array) -> TapStats:
    """Reduce a cotangent of any shape to its `TapStats`."""
    values = jnp.abs(cotangent).astype(jnp.float32)
    return TapStats(
        norm=_norm(values),
        max_abs=jnp.max(values, initial=0.0),
        zero_fraction=jnp.mean(values == 0, dtype=jnp.float32),
        nonfinite_fraction=jnp.mean(~jnp.isfinite(values), dtype=jnp.float32),
    )


def _norm(values: jax.Array) -> jax.Array:
    """Return the Euclidean norm, in one pass for all but extreme values."""
    # Squares leave float32's range long before the values do; three sums at scales
    # 2^64 apart cover it. In a time loop every further pass would cost as much as a
    # gate does, so they run only where they are needed.
    total = jnp.sum(values**2)

    def rescaled(values: jax.Array, total: jax.Array) -> jax.Array:
        small, large = (jnp.sqrt(jnp.sum((values * s) ** 2)) / s for s in SCALES)
        return jnp.where(total < 1.0, small, large)

    safe = (total > 1e-30) & (total < 1e30)
    return jax.lax.cond(safe, lambda _, t: jnp.sqrt(t), rescaled, values, total)


SCALES = (2.0**64, 2.0**-64)


def summarise_response(x: jax.Array) -> ResponseStats:
    """Reduce an activation of any shape to its `ResponseStats`."""
    values = jnp.abs(x).astype(jnp.float32) if jnp.iscomplexobj(x) else x
    values = values.astype(jnp.float32)
    magnitudes = jnp.abs(values)
    return ResponseStats(
        mean=jnp.mean(values),
        std=jnp.std(values),
        max_abs=jnp.max(magnitudes, initial=0.0),
        zero_fraction=jnp.mean(values == 0, dtype=jnp.float32),
        saturated_fraction=jnp.mean(magnitudes > SATURATED, dtype=jnp.float32),
        nonfinite_fraction=jnp.mean(~jnp.isfinite(values), dtype=jnp.float32),
    )
