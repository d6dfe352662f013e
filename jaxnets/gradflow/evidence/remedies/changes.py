"""Copies of a model with other initial values: what a remedy makes of it."""

import math
from collections.abc import Collection, Iterable
from typing import Any

import jax
import jax.numpy as jnp


# The names of arrays that layers multiply with.
KERNELS = ("kernel", "weight", "weights", "w")
# The names of recurrent arrays, or the modules that they are in.
RECURRENT = ("dense_h", "w_hh", "recurrent_kernel", "hi", "hf", "hg", "ho", "wh", "hh")
# A bias of a cell is a row of blocks: i, f, g, o of an LSTM, and r, z, n of a GRU. The
# gate that keeps the state is the second.
KEEPING = 1


def redrawn(
    model: Any, modules: Collection[str], gain: float, stacked: Iterable[str] = ()
) -> Any:
    """Return a copy with new weights in some modules, and their biases at zero.

    The weights are normal with the variance `gain / fan_in`. Arrays that are exactly
    zero stay so, because a part may start at zero on purpose; all others named
    `kernel` or `weight` are drawn anew.

    Args:
        model: An `nnx.Module`.
        modules: Paths; what is inside them counts too.
        gain: 2 for He's initialiser, 1 for LeCun's.
        stacked: Paths of modules whose arrays have a first axis of layers.

    Returns:
        The copy; None if there is nothing to draw.

    Example:
        >>> from flax import nnx
        >>> model = nnx.Linear(900, 2, use_bias=False, rngs=nnx.Rngs(0))
        >>> model = nnx.List([model])
        >>> kernel = redrawn(model, ["0"], 2.0)[0].kernel[...]
        >>> round(float(jnp.mean(kernel**2) * 900))
        2
    """
    fans = _fans(model)
    key = jax.random.key(1)
    drawn = 0

    def change(path: tuple[Any, ...], value: Any) -> Any:
        nonlocal drawn
        module = "/".join(map(str, path[:-1]))
        if not _is_inside(module, modules) or not jnp.any(value):
            return value
        if str(path[-1]) == "bias":
            return jnp.zeros_like(value)
        if str(path[-1]) not in KERNELS or value.ndim < 2:
            return value
        drawn += 1
        is_stacked = _is_inside(module, list(stacked))
        fan_in = fans.get(module) or math.prod(value.shape[is_stacked:-1])
        numbers = jax.random.normal(jax.random.fold_in(key, drawn), value.shape)
        return (numbers * math.sqrt(gain / fan_in)).astype(value.dtype)

    changed = _changed(model, change)
    return changed if drawn else None


def orthogonal_states(model: Any, tap: str) -> Any:
    """Return a copy whose recurrent matrix at a tap is orthogonal; None without one.

    Args:
        model: An `nnx.Module`.
        tap: The tap of a state.
    """
    draw = jax.nn.initializers.orthogonal()
    found = 0
    layer = _layer(model, tap)

    def change(path: tuple[Any, ...], value: Any) -> Any:
        nonlocal found
        names = list(map(str, path))
        is_square = value.ndim == 2 and value.shape[0] == value.shape[1]
        if not (
            _is_inside("/".join(names[:-1]), [layer])
            and is_square
            and set(names) & {*RECURRENT}
        ):
            return value
        found += 1
        return draw(jax.random.key(found), value.shape, value.dtype)

    changed = _changed(model, change)
    return changed if found else None


def open_gates(model: Any, tap: str, bias: float) -> Any:
    """Return a copy whose gate that keeps the state has a bias; None without a gate.

    Args:
        model: An `nnx.Module`.
        tap: The tap of a state.
        bias: The bias of the LSTM's f or the GRU's z.
    """
    layer = _layer(model, tap)
    widths = {
        "/".join(map(str, path)): value.shape[0]
        for path, value in _arrays(model)
        if value.ndim == 2 and set(map(str, path)) & {"dense_h", "w_hh"}
    }
    found = 0

    def change(path: tuple[Any, ...], value: Any) -> Any:
        nonlocal found
        names = list(map(str, path))
        if not _is_inside("/".join(names[:-1]), [layer]) or value.ndim != 1:
            return value
        if names[-2:] == ["hf", "bias"]:
            found += 1
            return jnp.full_like(value, bias)
        cell = [w for name, w in widths.items() if _is_inside(name, [layer])]
        blocks = value.shape[0] // cell[0] if cell else 0
        if names[-1] not in ("b", "bias") or blocks not in (3, 4):
            return value
        found += 1
        return value.at[KEEPING * cell[0] : (KEEPING + 1) * cell[0]].set(bias)

    changed = _changed(model, change)
    return changed if found else None


def _arrays(model: Any) -> list[tuple[tuple[Any, ...], Any]]:
    from flax import nnx

    state = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return [(path, leaf.get_value()) for path, leaf in state]


def _changed(model: Any, change: Any) -> Any:
    """Return a copy of a model whose parameters are `change(path, value)`."""
    from flax import nnx

    copy = nnx.clone(model)
    for path, leaf in nnx.to_flat_state(nnx.state(copy, nnx.Param)):
        value = leaf.get_value()
        if jnp.issubdtype(value.dtype, jnp.floating):
            changed = nnx.from_flat_state([(path, leaf.replace(change(path, value)))])
            nnx.update(copy, changed)
    return copy


def _fans(model: Any) -> dict[str, int]:
    """Return the number of inputs of the layers whose kernels do not show it."""
    from flax import nnx

    return {
        "/".join(map(str, path)): math.prod(module.in_features)
        for path, module in nnx.iter_modules(model)
        if isinstance(module, nnx.LinearGeneral)
    }


def _is_inside(module: str, modules: Collection[str]) -> bool:
    return any(
        not path or module == path or module.startswith(f"{path}/") for path in modules
    )


def _layer(model: Any, tap: str) -> str:
    """Return the innermost module around a tap that has parameters."""
    modules = {"/".join(map(str, path[:-1])) for path, _ in _arrays(model)}
    layer = tap.partition("#")[0]
    while layer and not any(_is_inside(module, [layer]) for module in modules):
        layer = layer.rpartition("/")[0]
    return layer
