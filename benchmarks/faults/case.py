"""`Case`: a network, and what a diagnosis of it should say."""

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array


class Case(NamedTuple):
    """A network with a seeded fault, or a healthy one.

    Attributes:
        name: What is special about it.
        make: `make(rngs)` returns the model.
        loss: `loss(model, *batch)`.
        batch: The arguments of the loss after the model.
        kinds: Kinds of verdicts that name the fault; none if the network is healthy.
        place: A pattern that the place of the verdict matches.
        remedy: A pattern that the remedy matches, in upper or lower case.
        options: Further arguments of `diagnose`.
    """

    name: str
    make: Callable[[Any], Any]
    loss: Callable[..., Any]
    batch: tuple[Any, ...]
    kinds: frozenset[str] = frozenset()
    place: str = ""
    remedy: str = ""
    options: Mapping[str, Any] = MappingProxyType({})


CASES: dict[str, Case] = {}


def fault(
    kinds: str,
    place: str,
    remedy: str,
    loss: Callable[..., Any],
    batch: tuple[Any, ...],
    **options: Any,
) -> Callable[[Any], Any]:
    """Register the decorated class or function as a network with a fault."""

    def register(make: Any) -> Any:
        name = make.__name__.replace("_", " ")
        wanted = frozenset(kinds.split())
        CASES[name] = Case(name, make, loss, batch, wanted, place, remedy, options)
        return make

    return register


def healthy(
    loss: Callable[..., Any], batch: tuple[Any, ...], **options: Any
) -> Callable[[Any], Any]:
    """Register the decorated class or function as a healthy network."""

    def register(make: Any) -> Any:
        name = make.__name__.replace("_", " ")
        CASES[name] = Case(name, make, loss, batch, options=options)
        return make

    return register


def judge(case: Case, found: Iterable[Any]) -> tuple[bool, str]:
    """Return whether the verdicts on a case are right, and those that are no praise."""
    alarms = [v for v in found if v.severity in ("fault", "warning")]
    words = "; ".join(f"{v.severity} {v.kind} at {v.where}" for v in alarms)
    if not case.kinds:
        return all(v.severity != "fault" for v in alarms), words
    right = [
        v
        for v in alarms
        if v.kind in case.kinds
        and re.search(case.place, v.where)
        and re.search(case.remedy, v.remedy, re.IGNORECASE)
    ]
    return bool(right), words


def classify(model: Any, x: Array, labels: Array) -> Array:
    """Mean cross-entropy of the logits that the model returns."""
    losses = optax.softmax_cross_entropy_with_integer_labels(model(x), labels)
    return jnp.mean(losses)


def regress(model: Any, x: Array, y: Array) -> Array:
    """Mean squared error."""
    return jnp.mean((model(x) - y) ** 2)


def reconstruct(model: Any, x: Array) -> Array:
    """Mean squared error against the input."""
    return jnp.mean((model(x) - x) ** 2)


KEYS = jax.random.split(jax.random.key(7), 12)
CENTRES = 2.0 * jax.random.normal(KEYS[0], (8, 16))
LABELS = jnp.arange(48) % 8
# Points around eight centres, one for each class.
POINTS = (CENTRES[LABELS] + jax.random.normal(KEYS[1], (48, 16)), LABELS)
# Images with a bar at a row that gives the class.
IMAGES = (
    jax.random.normal(KEYS[2], (32, 8, 8, 3)).at[jnp.arange(32), LABELS[:32]].add(2.0),
    LABELS[:32],
)
# Sequences whose mean direction gives the class.
SERIES = (
    CENTRES[LABELS[:24], None, :6] / 2 + jax.random.normal(KEYS[3], (24, 20, 6)),
    LABELS[:24],
)
LONG = (jax.random.normal(KEYS[4], (16, 60, 6)), LABELS[:16])
# Token 0 is padding; lengths differ.
LENGTHS = 4 + (jnp.arange(24) * 5) % 13
PRESENT = jnp.arange(16) < LENGTHS[:, None]
WORDS = jax.random.randint(KEYS[5], (24, 16), 1, 30)
TOKENS = (jnp.where(PRESENT, WORDS, 0), LABELS[:24])
PADDED = (
    jnp.where(PRESENT[..., None], jax.random.normal(KEYS[6], (24, 16, 6)), 0.0),
    LABELS[:24],
)
