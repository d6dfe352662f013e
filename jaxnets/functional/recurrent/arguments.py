"""The arguments that rnn, gru and lstm share, checked and brought to one dtype."""

from typing import Any

import jax
import jax.numpy as jnp


def check_weights(params: Any, gates: str, outputs: int | None = None) -> int:
    """Check `w_xh (D, G*H)`, `w_hh (P, G*H)` and `b (G*H,)`; return H.

    `gates` names the G blocks of columns; `outputs` is P where it is not H.
    """
    count = len(gates.split(", "))
    for name in ("w_xh", "w_hh"):
        shape = jnp.shape(getattr(params, name))
        if len(shape) != 2:
            raise ValueError(
                f"`params.{name}` has shape {shape}; wanted two axes. Parameters that "
                "are stacked over seeds go through `jax.vmap`."
            )
    columns = jnp.shape(params.w_xh)[1]
    if columns % count:
        raise ValueError(
            f"`params.w_xh` has {columns} columns; wanted a multiple of {count}, "
            f"one block for each of {gates}."
        )
    hidden = columns // count
    rows = hidden if outputs is None else outputs
    check_shape("params.w_hh", params.w_hh, (rows, columns), "as `params.w_xh` has it")
    check_shape("params.b", params.b, (columns,), "one bias for each column")
    return hidden


def check_shape(name: str, array: Any, wanted: tuple[int, ...], why: str) -> None:
    """Raise ValueError unless `array` has the shape `wanted`."""
    if jnp.shape(array) != wanted:
        raise ValueError(
            f"`{name}` has shape {jnp.shape(array)}; wanted {wanted}, {why}."
        )


def check_state(state: Any, wanted: tuple[int, ...]) -> None:
    """Raise ValueError unless the state of an RNN or GRU has the shape `wanted`."""
    why = "the batch axes of the input and H of `w_hh`"
    check_shape("state", state, wanted, why)


def check_clip(clip: float | None) -> None:
    """Raise ValueError unless `clip` is None or a positive bound."""
    if clip is not None and not clip > 0:
        raise ValueError(
            f"`clip` is {clip}; wanted a positive bound of the pre-activations, or "
            "None for no bound."
        )


def check_features(name: str, x: Any, w_xh: Any, axes: str) -> None:
    """Check that `x` has the axes named by `axes`, features last, to fit `w_xh`."""
    shape, features = jnp.shape(x), jnp.shape(w_xh)[0]
    if len(shape) < (2 if "time" in axes else 1):
        raise ValueError(
            f"`{name}` has shape {shape}; wanted {axes}. Add an axis for the features "
            "with `x[..., None]`."
        )
    if shape[-1] != features:
        raise ValueError(
            f"`{name}` has {shape[-1]} features (its last axis; its shape is {shape}), "
            f"but `params.w_xh` has {features} rows. They must be equal; wanted {axes}."
        )


def same_dtype(*trees: Any) -> tuple[Any, ...]:
    """Convert all arrays of `trees` to their promoted dtype."""
    dtype = jnp.result_type(*jax.tree.leaves(trees))
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise TypeError(
            f"`params`, `x` and `state` are all of dtype {dtype}; wanted floating "
            "point, at least in `params`. Convert with `.astype(jnp.float32)`."
        )
    return jax.tree.map(lambda a: jnp.asarray(a, dtype), trees)


def batch_of(x: Any, time_major: bool) -> tuple[int, ...]:
    """Return the batch axes of `(*batch, time, features)`."""
    shape = jnp.shape(x)
    return shape[1:-1] if time_major else shape[:-2]
