"""Checks of the arguments that all cells share."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.arguments import check_callable, check_number, described


def check_weights(
    params: Any, kind: type, gates: tuple[str, ...], outputs: int | None = None
) -> int:
    """Check `w_xh (D, G*H)`, `w_hh (P, G*H)` if there is one, and `b (G*H,)`; return H.

    Args:
        params: The user's parameters.
        kind: The NamedTuple type that they must have.
        gates: Names of the G blocks of columns.
        outputs: P, or None if it is H.
    """
    check_kind(params, kind)
    count = len(gates)
    for name in _matrices(kind):
        shape = jnp.shape(getattr(params, name))
        if len(shape) != 2:
            raise ValueError(
                f"`params.{name}` has shape {shape}; wanted two axes. Use "
                "`jax.vmap` for parameters that are stacked over seeds."
            )
    columns = jnp.shape(params.w_xh)[1]
    if columns % count:
        raise ValueError(
            f"`params.w_xh` has {columns} columns; wanted a multiple of {count}, "
            f"one block for each of {', '.join(gates)}."
        )
    hidden = columns // count
    rows = hidden if outputs is None else outputs
    why = "to match `params.w_xh`"
    if outputs is not None:
        why = "to match `params.w_xh` and `params.w_hr`"
    if "w_hh" in _matrices(kind):
        check_shape("params.w_hh", params.w_hh, (rows, columns), why)
    check_shape("params.b", params.b, (columns,), "one bias for each column")
    return hidden


def check_kind(params: Any, kind: type) -> None:
    """Raise TypeError unless `params` has this type and its weights are arrays."""
    if not isinstance(params, kind):
        raise TypeError(
            f"`params` is of type {type(params).__name__}; wanted {kind.__name__}."
        )
    for name in _matrices(kind):
        check_array(f"params.{name}", getattr(params, name))


def _matrices(kind: Any) -> list[str]:
    """Return the names of the weight matrices; some cells have no `w_hh`."""
    return [name for name in ("w_xh", "w_hh") if name in kind._fields]


def check_array(name: str, array: Any) -> None:
    """Raise TypeError unless `array` is an array of numbers."""
    if getattr(getattr(array, "dtype", None), "kind", "O") in "OSUMm":
        raise TypeError(
            f"`{name}` is {described(array)}; wanted an array of numbers. Convert it, "
            f"for example with `jnp.asarray({name}, jnp.float32)`."
        )


def check_callables(**functions: object) -> None:
    """Raise TypeError for the first of `functions` that cannot be called."""
    for name, function in functions.items():
        check_callable(name, function, _CALLED.get(name, _CALLED["activation"]))


_CALLED = {
    "activation": "a function of arrays, such as `jnp.tanh` or `jax.nn.sigmoid`",
    "step": "a function `step(state, x_t) -> (state, y_t)`",
    "cell": "a module or function `cell(state, x_t) -> (state, y_t)`",
    "run": "`rnn`, `gru`, `lstm`, or a function with the same arguments",
    "input_init": "an initialiser, such as `jax.nn.initializers.lecun_normal()`",
    "recurrent_init": "an initialiser, such as `jax.nn.initializers.orthogonal()`",
}


def check_shape(name: str, array: Any, wanted: tuple[Any, ...], why: str) -> None:
    """Raise ValueError unless `array` has the shape `wanted`."""
    if not hasattr(array, "dtype"):
        raise TypeError(
            f"`{name}` is {described(array)}; wanted an array of shape {wanted}, {why}."
        )
    if jnp.shape(array) != wanted:
        raise ValueError(
            f"`{name}` has shape {jnp.shape(array)}; wanted {wanted}, {why}."
        )


def check_state(state: Any, shapes: list[tuple[Any, ...]], kind: Any) -> Any:
    """Check the shapes of a state, and return it in its NamedTuple type.

    Args:
        state: The user's state.
        shapes: The shape of each of its arrays.
        kind: The NamedTuple type of the state; None if it is a single array.
    """
    if kind is None:
        why = "the batch axes of the input and H"
        check_shape("state", state, shapes[0], why)
        return state
    fields = kind._fields
    if not isinstance(state, tuple) or len(state) != len(fields):
        raise TypeError(
            f"`state` is of type {type(state).__name__}; wanted "
            f"{kind.__name__}({', '.join(fields)})."
        )
    why = "the batch axes of the input and the size from the weights"
    for field, array, shape in zip(fields, state, shapes, strict=True):
        check_shape(f"state.{field}", array, shape, why)
    return kind(*state)


def as_clip(clip: Any) -> float | None:
    """Return `clip`, which must be None or a positive number."""
    return as_bound("clip", clip, "the pre-activations")


def as_bound(name: str, bound: Any, of: str) -> float | None:
    """Return `bound`, which must be None or a positive number."""
    if bound is None:
        return None
    wanted = f"a positive bound of {of}, or None for no bound"
    check_number(name, bound, wanted)
    if not bound > 0:
        raise ValueError(f"`{name}` is {bound}; wanted {wanted}.")
    return float(bound)


def check_features(name: str, x: Any, w_xh: Any, axes: str) -> None:
    """Check that `x` has these axes, and that its features match `w_xh`."""
    check_array(name, x)
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


def batch_of(x: Any, time_major: bool) -> tuple[Any, ...]:
    """Return the batch axes of `(*batch, time, features)`."""
    shape = jnp.shape(x)
    return shape[1:-1] if time_major else shape[:-2]
