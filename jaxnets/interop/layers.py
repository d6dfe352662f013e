"""Layers of recurrent weights: checks, the order of the gates, and biases."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.arguments import described, list_or_none
from jaxnets.functional.recurrence.arguments import check_array
from jaxnets.functional.recurrence.cells import CELLS


# One tuple per layer, (forward,) or (forward, backward), of one of the types below.
# They are `Any`, because the value of `kind` decides which type they are.
Layers = list[tuple[Any, ...]]

# The cells that other libraries have.
KINDS = ("rnn", "gru", "lstm")
TYPES = {kind: CELLS[kind].cell.params for kind in KINDS}
# The column blocks of our weights, one letter each.
GATES = {kind: "".join(CELLS[kind].cell.gates) for kind in KINDS}


def gates_of(kind: str) -> str:
    """Return the letters of the gates; raise ValueError if `kind` is unknown."""
    if not isinstance(kind, str) or kind not in GATES:
        raise ValueError(f'`kind` is {kind!r}; wanted "rnn", "gru" or "lstm".')
    return GATES[kind]


def kind_of(params: Any) -> str | None:
    """Return the kind of `params`, or None if they are not recurrent parameters."""
    kinds = [kind for kind, of_kind in TYPES.items() if isinstance(params, of_kind)]
    return kinds[0] if kinds else None


def parse_layers(
    layers: Sequence[Any], library: str, optional: Iterable[str] = ()
) -> tuple[str, Layers]:
    """Return the kind of `layers`, and `layers` with JAX arrays.

    Args:
        layers: One tuple per layer, `(forward,)` or `(forward, backward)`.
        library: The other library, for messages.
        optional: The fields that it supports besides `w_xh`, `w_hh` and `b`.

    Returns:
        "rnn", "gru" or "lstm", and the layers.

    Raises:
        TypeError: If `layers` is not a list of tuples of recurrent parameters.
        ValueError: If kinds are mixed, if shapes do not fit, or if a field is set that
            `library` does not support.
    """
    rows = list_or_none(layers) or []
    _refuse_other_cells(rows, library)
    if (
        not rows
        or isinstance(layers, Mapping)
        or not all(_is_layer(layer) for layer in rows)
    ):
        raise TypeError(
            f"`layers` is {_types(layers)}; wanted a list with one tuple per layer, "
            "(forward,) or (forward, backward), of RNNParams, GRUParams or LSTMParams. "
            "Pass a single layer of one direction as [(params,)]."
        )
    every = [params for layer in rows for params in layer]
    kinds = {kind_of(params): params for params in every}
    if len(kinds) > 1:
        names = ", ".join(type(params).__name__ for params in kinds.values())
        raise ValueError(f"`layers` has {names}; wanted one type for all layers.")
    kind = str(next(iter(kinds)))
    for params in every:
        CELLS[kind].cell.widths(params)
        for field, value in params._asdict().items():
            supported = field in {"w_xh", "w_hh", "b", *optional}
            if value is not None and not supported:
                raise ValueError(
                    f"`layers` has {type(params).__name__} with `{field}`, which "
                    f"{library} does not support; wanted None."
                )
    return kind, [jax.tree.map(jnp.asarray, tuple(layer)) for layer in rows]


def rows_of(value: Any, name: str, single: str) -> list[Any]:
    """Return the list of the layers' weights that a `from_` function reads.

    Raises:
        TypeError: If `value` is not a list, or is a single layer; `single` says how to
            pass one.
        ValueError: If it is empty.
    """
    rows = None if isinstance(value, Mapping) else list_or_none(value)
    wanted = f"wanted a list with the weights of one or more layers. {single}"
    if rows is None:
        raise TypeError(f"`{name}` is {described(value)}; {wanted}")
    if not rows:
        raise ValueError(f"`{name}` is empty; {wanted}")
    return rows


def check_mapping(value: Any, name: str, wanted: str) -> None:
    """Raise TypeError unless `value` is a dict, or another mapping."""
    if not isinstance(value, Mapping):
        raise TypeError(f"`{name}` is {described(value)}; wanted {wanted}.")


def check_string(value: Any, name: str, wanted: str) -> None:
    """Raise TypeError unless `value` is a string."""
    if not isinstance(value, str):
        raise TypeError(f"`{name}` is {value!r}; wanted {wanted}.")


def check_names(what: str, found: Iterable[str], wanted: Iterable[str]) -> None:
    """Raise ValueError unless `found` and `wanted` are the same names."""
    missing, unknown = sorted({*wanted} - {*found}), sorted({*found} - {*wanted})
    if missing or unknown:
        raise ValueError(
            f"{what}: missing {missing}, unknown {unknown}; wanted {[*wanted]}."
        )


def check_matrix(name: str, array: Any) -> None:
    """Raise unless `array` is an array of numbers with two axes."""
    if isinstance(array, np.ndarray) or not hasattr(array, "shape"):
        check_array(name, array)
    if jnp.ndim(array) != 2:
        raise ValueError(f"`{name}` has shape {jnp.shape(array)}; wanted two axes.")


def reordered(w: jax.Array, given: str, wanted: str) -> jax.Array:
    """Reorder the blocks of the last axis from the gates `given` to `wanted`."""
    blocks = dict(zip(given, jnp.split(w, len(given), axis=-1), strict=True))
    return jnp.concatenate([blocks[gate] for gate in wanted], axis=-1)


def added_biases(
    kind: str, b_x: jax.Array, b_h: jax.Array
) -> tuple[jax.Array, jax.Array | None]:
    """Return `(b, b_hn)` for a bias of the input product and one of the state product.

    They add up, except in the candidate of a GRU, where r multiplies the second.
    """
    if kind != "gru":
        return b_x + b_h, None
    b_rz, b_hn = jnp.split(b_h, [2 * b_h.shape[0] // 3])
    return b_x + jnp.concatenate([b_rz, jnp.zeros_like(b_hn)]), b_hn


def split_biases(params: Any) -> tuple[jax.Array, jax.Array]:
    """Return a bias of the input product, `b`, and one of the state product.

    The second is zero except for `b_hn` of a GRU.
    """
    b_h = jnp.zeros_like(params.b)
    b_hn = getattr(params, "b_hn", None)
    return params.b, b_h if b_hn is None else b_h.at[-b_hn.shape[0] :].set(b_hn)


def _refuse_other_cells(layers: Sequence[Any], library: str) -> None:
    """Raise TypeError for parameters of a cell that no other library has."""
    ours = tuple(functions.cell.params for functions in CELLS.values())
    for layer in layers:
        for params in layer if isinstance(layer, tuple | list) else ():
            if isinstance(params, ours) and kind_of(params) is None:
                wanted = ", ".join(kind.__name__ for kind in TYPES.values())
                raise TypeError(
                    f"`layers` has {type(params).__name__}, and {library} has no such "
                    f"cell; wanted {wanted}."
                )


def _is_layer(layer: Any) -> bool:
    """Return whether `layer` is a tuple of one or two recurrent parameters."""
    one_or_two = isinstance(layer, tuple | list) and 1 <= len(layer) <= 2
    return one_or_two and all(kind_of(params) for params in layer)


def _types(layers: Any) -> str:
    """Return the type of `layers` and of its items, in words."""
    rows = list_or_none(layers)
    if rows is None:
        return described(layers)
    inner = sorted({type(layer).__name__ for layer in rows})
    return f"a {type(layers).__name__} of {', '.join(inner) or 'nothing'}"
