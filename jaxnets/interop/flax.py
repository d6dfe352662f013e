"""Flax: the parameters of the recurrent cells of NNX and linen."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.functional import GRUParams
from jaxnets.functional.recurrence.arguments import check_shape
from jaxnets.interop.layers import (
    GATES,
    TYPES,
    Layers,
    check_mapping,
    check_matrix,
    check_names,
    parse_layers,
    rows_of,
)


class _Cell(NamedTuple):
    """The linear layers of a cell of Flax, in the order of our gates.

    Attributes:
        kind: "rnn", "gru" or "lstm".
        inputs: Names of the linear layers of the input: one per gate, or one in all.
        states: Names of the linear layers of the state, likewise.
        biased: Names of the linear layers that have a bias.
    """

    kind: str
    inputs: tuple[str, ...]
    states: tuple[str, ...]
    biased: tuple[str, ...]


_LSTM_STATES = ("hi", "hf", "hg", "ho")
_LINEN_LSTM = _Cell("lstm", ("ii", "if", "ig", "io"), _LSTM_STATES, _LSTM_STATES)
FLAX_CELLS = {
    "nnx.LSTMCell": _LINEN_LSTM._replace(inputs=("ii", "if_", "ig", "io")),
    "nnx.OptimizedLSTMCell": _Cell("lstm", ("dense_i",), ("dense_h",), ("dense_h",)),
    "nnx.GRUCell": _Cell("gru", ("dense_i",), ("dense_h",), ("dense_i",)),
    "nnx.SimpleCell": _Cell("rnn", ("dense_i",), ("dense_h",), ("dense_i",)),
    "linen.LSTMCell": _LINEN_LSTM,
    "linen.OptimizedLSTMCell": _LINEN_LSTM,
    "linen.GRUCell": _Cell(
        "gru", ("ir", "iz", "in"), ("hr", "hz", "hn"), ("ir", "iz", "in", "hn")
    ),
    "linen.SimpleCell": _Cell("rnn", ("i",), ("h",), ("i",)),
}
DIRECTIONS = ("forward_rnn", "backward_rnn")


def from_flax(trees: Sequence[Any], cell: str) -> Layers:
    """Read the parameters of Flax's recurrent cells, of NNX or linen.

    Flax's kernels have our layout and its gates have our order. If a cell has one
    linear layer per gate, their kernels become the column blocks of one matrix. In
    `linen.GRUCell` the bias of the product of the state with the candidate's weights
    becomes `b_hn`; `nnx.GRUCell` has no such bias.

    Args:
        trees: One nested dict of arrays per layer: that of a cell; that of an `RNN`,
            `{"cell": ...}`; or that of a `Bidirectional`, `{"forward_rnn": {"cell":
            ...}, "backward_rnn": {"cell": ...}}`. In NNX it is
            `nnx.to_pure_dict(nnx.state(module, nnx.Param))`, in linen
            `variables["params"]`.
        cell: "nnx.LSTMCell", "nnx.OptimizedLSTMCell", "nnx.GRUCell", "nnx.SimpleCell",
            or one of these with "linen." in place of "nnx.".

    Returns:
        One tuple per layer, `(forward,)` or `(forward, backward)`.

    Raises:
        TypeError: If `trees` is not a list with one dict per layer.
        ValueError: If `trees` is empty, `cell` or a name is unknown, a name is missing,
            or a shape does not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets.functional import gru
        >>> from jaxnets.interop import from_flax
        >>> module = nnx.RNN(nnx.GRUCell(3, 2, rngs=nnx.Rngs(0)))
        >>> tree = nnx.to_pure_dict(nnx.state(module, nnx.Param))
        >>> [(params,)] = from_flax([tree], "nnx.GRUCell")
        >>> gru(params, jnp.ones((5, 6, 3)))[1].shape
        (5, 6, 2)

    Source: Flax, `flax/nnx/nn/recurrent.py` and `flax/linen/recurrent.py`. For a
    `SimpleCell` with `residual=True` add the identity to `w_hh`.
    """
    layout = _cell(cell)
    layers: Layers = []
    single = "Pass a single layer as [tree]."
    for number, tree in enumerate(rows_of(trees, "trees", single)):
        if not isinstance(tree, Mapping):
            raise TypeError(
                f"`trees[{number}]` is of type {type(tree).__name__}; wanted one dict "
                f"of arrays per layer. {single}"
            )
        where = f"trees[{number}]"
        directions = [name for name in DIRECTIONS if name in tree]
        modules = {f"{where}.{name}": tree[name] for name in directions}
        layers.append(
            tuple(
                _params(layout, _cell_tree(module), name)
                for name, module in (modules or {where: tree}).items()
            )
        )
    return layers


def to_flax(layers: Sequence[Any], cell: str) -> list[dict[str, Any]]:
    """Write weights as the parameters of Flax's recurrent cells, of NNX or linen.

    This is the inverse of `from_flax`.

    Args:
        layers: One tuple per layer, `(forward,)` or `(forward, backward)`.
        cell: The name of a cell, as in `from_flax`.

    Returns:
        One nested dict of arrays per layer: that of an `RNN`, `{"cell": ...}`, or that
        of a `Bidirectional`, `{"forward_rnn": {"cell": ...}, "backward_rnn": {"cell":
        ...}}`. In NNX `nnx.update(module, tree)` sets it; linen takes it as
        `{"params": tree}`.

    Raises:
        TypeError: If `layers` is not a list of tuples of recurrent parameters.
        ValueError: If `cell` is unknown or of another kind than `layers`, if shapes do
            not fit, or if `layers` has what Flax does not support: peepholes,
            projections, and in `nnx.GRUCell` a `b_hn` that is not zero. The values of
            `b_hn` are checked, so under `jax.jit` it must be None for `nnx.GRUCell`.

    Example:
        >>> import jax
        >>> from flax import nnx
        >>> from jaxnets.functional import init_lstm
        >>> from jaxnets.interop import to_flax
        >>> params = init_lstm(jax.random.key(0), 4, 3)
        >>> [tree] = to_flax([(params,)], "nnx.OptimizedLSTMCell")
        >>> jax.tree.map(lambda w: w.shape, tree["cell"])
        {'dense_h': {'bias': (12,), 'kernel': (3, 12)}, 'dense_i': {'kernel': (4, 12)}}
        >>> module = nnx.RNN(nnx.OptimizedLSTMCell(4, 3, rngs=nnx.Rngs(0)))
        >>> nnx.update(module, tree)

    Source: as `from_flax`. Flax's GRU is `gru(..., reset_after=True)`.
    """
    layout = _cell(cell)
    kind, parsed = parse_layers(layers, "Flax", ("b_hn",))
    if kind != layout.kind:
        raise ValueError(
            f'`cell` is "{cell}", but `layers` has {TYPES[kind].__name__}; wanted '
            f"{TYPES[layout.kind].__name__} for this cell."
        )
    trees = []
    for layer in parsed:
        cells = [{"cell": _tree(layout, params, cell)} for params in layer]
        both = len(layer) == 2
        trees.append(dict(zip(DIRECTIONS, cells, strict=True)) if both else cells[0])
    return trees


def _cell(name: str) -> _Cell:
    if not isinstance(name, str) or name not in FLAX_CELLS:
        raise ValueError(f"`cell` is {name!r}; wanted one of {', '.join(FLAX_CELLS)}.")
    return FLAX_CELLS[name]


def _cell_tree(module: Any) -> Any:
    """Return the tree of a cell for the one of the cell or of its `RNN`."""
    return module.get("cell", module) if isinstance(module, Mapping) else module


def _params(cell: _Cell, tree: Mapping[str, Any], where: str) -> Any:
    """Return our parameters for the tree of one cell."""
    _check(cell, tree, where)
    tree = jax.tree.map(jnp.asarray, dict(tree))
    joined = lambda names, array: jnp.concatenate(
        [tree[name][array] for name in names], axis=-1
    )
    # In Flax's LSTM the linear layers of the state have the biases, else the input's.
    b = joined(cell.states if cell.kind == "lstm" else cell.inputs, "bias")
    params = joined(cell.inputs, "kernel"), joined(cell.states, "kernel"), b
    if "hn" in cell.biased:
        return GRUParams(*params, tree["hn"]["bias"])
    return TYPES[cell.kind](*params)


def _tree(cell: _Cell, params: Any, name: str) -> dict[str, dict[str, jax.Array]]:
    """Return the tree of one cell for our parameters."""
    b_hn = getattr(params, "b_hn", None)
    blocks = lambda names, array: zip(
        names, jnp.split(array, len(names), axis=-1), strict=True
    )
    tree = {
        linear: {"kernel": kernel}
        for names, w in ((cell.inputs, params.w_xh), (cell.states, params.w_hh))
        for linear, kernel in blocks(names, w)
    }
    biased = cell.states if cell.kind == "lstm" else cell.inputs
    for linear, bias in blocks(biased, params.b):
        tree[linear]["bias"] = bias
    if "hn" in cell.biased:
        zeros = jnp.zeros(params.w_hh.shape[0], params.b.dtype)
        tree["hn"]["bias"] = zeros if b_hn is None else b_hn
    elif b_hn is not None and jnp.any(b_hn):
        raise ValueError(
            f'`layers` has a GRU whose `b_hn` is not zero; "{name}" does not support '
            '`b_hn`. Use "linen.GRUCell", or train with `b_hn=None`.'
        )
    return tree


def _check(cell: _Cell, tree: Mapping[str, Any], where: str) -> None:
    """Raise ValueError unless the names and shapes of one cell's tree are right."""
    linears = (*cell.inputs, *cell.states)
    check_mapping(tree, where, f"a dict with {', '.join(linears)}")
    check_names(f"`{where}`", tree, linears)
    for linear in linears:
        check_mapping(tree[linear], f"{where}.{linear}", "a dict of arrays")
        arrays = ["kernel", "bias"] if linear in cell.biased else ["kernel"]
        check_names(f"`{where}.{linear}`", tree[linear], arrays)
        check_matrix(f"{where}.{linear}.kernel", tree[linear]["kernel"])
    last = cell.states[0]
    features = jnp.shape(tree[cell.inputs[0]]["kernel"])[0]
    hidden = jnp.shape(tree[last]["kernel"])[0]
    columns = len(GATES[cell.kind]) * hidden // len(cell.inputs)
    why = f"for H = {hidden}, as `{where}.{last}.kernel` says"
    for linear in linears:
        rows = features if linear in cell.inputs else hidden
        shapes = {"kernel": (rows, columns), "bias": (columns,)}
        for name, array in tree[linear].items():
            check_shape(f"{where}.{linear}.{name}", array, shapes[name], why)
