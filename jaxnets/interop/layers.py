"""Layers of recurrent weights: checks, the order of gates, and split biases."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional import GRUParams, LSTMParams, RNNParams
from jaxnets.functional.recurrence.arguments import check_shape, check_weights


# One tuple a layer, (forward,) or (forward, backward), of one of the types below. It is
# `Any`, because which type follows from the value of `kind`.
Layers = list[tuple[Any, ...]]

TYPES = {"rnn": RNNParams, "gru": GRUParams, "lstm": LSTMParams}
# The blocks of columns of our weights, a letter for each.
GATES = {"rnn": "h", "gru": "rzn", "lstm": "ifgo"}


def gates_of(kind: str) -> str:
    """Return the letters of the gates, or raise ValueError for an unknown kind."""
    if kind not in GATES:
        raise ValueError(f'`kind` is {kind!r}; wanted "rnn", "gru" or "lstm".')
    return GATES[kind]


def kind_of(params: Any) -> str | None:
    """Return the kind of `params`, or None if they are no recurrent parameters."""
    kinds = [kind for kind, of_kind in TYPES.items() if isinstance(params, of_kind)]
    return kinds[0] if kinds else None


def parse_layers(
    layers: Sequence[Any], library: str, optional: Iterable[str] = ()
) -> tuple[str, Layers]:
    """Return the kind of all `layers` and their weights as JAX arrays.

    `optional` names the fields beyond `w_xh`, `w_hh` and `b` that `library` can hold.

    Raises:
        TypeError: If `layers` is not a list of tuples of recurrent parameters.
        ValueError: If kinds are mixed, shapes do not fit, or a field is set that
            `library` cannot hold.
    """
    if not layers or not all(_is_layer(layer) for layer in layers):
        raise TypeError(
            f"`layers` is {_outline(layers)}; wanted a list with one tuple a layer, "
            "(forward,) or (forward, backward), of RNNParams, GRUParams or LSTMParams. "
            "One layer of one direction is [(params,)]."
        )
    every = [params for layer in layers for params in layer]
    kinds = {kind_of(params): params for params in every}
    if len(kinds) > 1:
        names = ", ".join(type(params).__name__ for params in kinds.values())
        raise ValueError(f"`layers` has {names}; wanted one type in all layers.")
    kind = str(next(iter(kinds)))
    for params in every:
        _check_params(kind, params)
        for field, value in params._asdict().items():
            held = field in {"w_xh", "w_hh", "b", *optional}
            if value is not None and not held:
                raise ValueError(
                    f"`layers` has a {type(params).__name__} with `{field}`; "
                    f"{library} has nothing like it. Wanted None."
                )
    return kind, [jax.tree.map(jnp.asarray, tuple(layer)) for layer in layers]


def check_names(what: str, found: Iterable[str], wanted: Iterable[str]) -> None:
    """Raise ValueError unless the names `found` are those `wanted`."""
    missing, unknown = sorted({*wanted} - {*found}), sorted({*found} - {*wanted})
    if missing or unknown:
        raise ValueError(
            f"{what}: missing {missing}, unknown {unknown}; wanted {[*wanted]}."
        )


def check_matrix(name: str, array: Any) -> None:
    """Raise ValueError unless `array` has two axes."""
    if jnp.ndim(array) != 2:
        raise ValueError(f"`{name}` has shape {jnp.shape(array)}; wanted two axes.")


def reordered(w: jax.Array, given: str, wanted: str) -> jax.Array:
    """Bring the blocks of the last axis from one order of gates to another."""
    blocks = dict(zip(given, jnp.split(w, len(given), axis=-1), strict=True))
    return jnp.concatenate([blocks[gate] for gate in wanted], axis=-1)


def added_biases(
    kind: str, b_x: jax.Array, b_h: jax.Array
) -> tuple[jax.Array, jax.Array | None]:
    """Return `(b, b_hn)` of a bias beside the input and one beside the state.

    Only in the candidate of a GRU, where r stands between them, are they two numbers.
    """
    if kind != "gru":
        return b_x + b_h, None
    b_rz, b_hn = jnp.split(b_h, [2 * b_h.shape[0] // 3])
    return b_x + jnp.concatenate([b_rz, jnp.zeros_like(b_hn)]), b_hn


def split_biases(params: Any) -> tuple[jax.Array, jax.Array]:
    """Return a bias beside the input and one beside the state: zero but for `b_hn`."""
    b_h = jnp.zeros_like(params.b)
    b_hn = getattr(params, "b_hn", None)
    return params.b, b_h if b_hn is None else b_h.at[-b_hn.shape[0] :].set(b_hn)


def _is_layer(layer: Any) -> bool:
    """Whether `layer` is a tuple of one or two parameters, rather than parameters."""
    one_or_two = isinstance(layer, tuple | list) and 1 <= len(layer) <= 2
    return one_or_two and all(kind_of(params) for params in layer)


def _outline(layers: Any) -> str:
    """Name the types of `layers` and of what is in it."""
    inner = sorted({type(layer).__name__ for layer in layers})
    return f"a {type(layers).__name__} of {', '.join(inner) or 'nothing'}"


def _check_params(kind: str, params: Any) -> None:
    gates = ", ".join(GATES[kind])
    w_hr = getattr(params, "w_hr", None)
    if w_hr is None:
        hidden = check_weights(params, TYPES[kind], gates)
    else:
        check_matrix("params.w_hr", w_hr)
        outputs = jnp.shape(w_hr)[1]
        hidden = check_weights(params, TYPES[kind], gates, outputs)
        why = "from the cell to the output"
        check_shape("params.w_hr", w_hr, (hidden, outputs), why)
    if getattr(params, "b_hn", None) is not None:
        check_shape("params.b_hn", params.b_hn, (hidden,), "one bias for each unit")
