"""Flax: the parameters of the recurrent cells of NNX and of linen."""

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
    check_matrix,
    check_names,
    parse_layers,
)


class _Cell(NamedTuple):
    """The linears of a cell: those of the input and of the state, in our gates' order.

    Attributes:
        kind: Which of ours it is.
        inputs: Names of the linears of the input, of one gate each, or one for all.
        states: Names of the linears of the state.
        biased: Names of those that have a bias.
    """

    kind: str
    inputs: tuple[str, ...]
    states: tuple[str, ...]
    biased: tuple[str, ...]


_LSTM_STATES = ("hi", "hf", "hg", "ho")
_LINEN_LSTM = _Cell("lstm", ("ii", "if", "ig", "io"), _LSTM_STATES, _LSTM_STATES)
CELLS = {
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


def from_flax(trees: Sequence[Any], cell: str) -> Layers:
    """Read the parameters of Flax's recurrent cells, NNX's or linen's.

    The kernels are laid out as ours, and the order of the gates is ours; where a cell
    has one linear for each gate they become the blocks of one matrix. The candidate's
    bias beside the state in `linen.GRUCell` becomes `b_hn`; `nnx.GRUCell` has none.

    Args:
        trees: For each layer a nested dict of arrays: that of a cell, of an `RNN`, as
            `{"cell": ...}`, or of a `Bidirectional`, as `{"forward_rnn": {"cell": ...},
            "backward_rnn": {"cell": ...}}`. In NNX it is
            `nnx.to_pure_dict(nnx.state(module, nnx.Param))`, in linen
            `variables["params"]`.
        cell: "nnx.LSTMCell", "nnx.OptimizedLSTMCell", "nnx.GRUCell", "nnx.SimpleCell",
            or the same of "linen.".

    Returns:
        One tuple a layer, `(forward,)` or `(forward, backward)`.

    Raises:
        TypeError: If `trees` is not one dict a layer.
        ValueError: If `cell` or a name is unknown, a name is missing, or a shape does
            not fit.

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

    Source: Flax, `flax/nnx/nn/recurrent.py` and `flax/linen/recurrent.py`. A
    `SimpleCell` with `residual=True` is ours with the identity added to `w_hh`.
    """
    layout = _cell(cell)
    layers: Layers = []
    for number, tree in enumerate(trees):
        if not isinstance(tree, Mapping):
            raise TypeError(
                f"`trees[{number}]` is of type {type(tree).__name__}; wanted a dict of "
                "arrays for each layer. One layer is [tree]."
            )
        where = f"trees[{number}]"
        ways = [name for name in ("forward_rnn", "backward_rnn") if name in tree]
        branches = {f"{where}.{way}": tree[way] for way in ways} or {where: tree}
        layers.append(
            tuple(
                _params(layout, branch.get("cell", branch), name)
                for name, branch in branches.items()
            )
        )
    return layers


def to_flax(layers: Sequence[Any], cell: str) -> list[dict[str, Any]]:
    """Write weights as the parameters of Flax's recurrent cells, NNX's or linen's.

    The inverse of `from_flax`.

    Args:
        layers: One tuple a layer, `(forward,)` or `(forward, backward)`.
        cell: The name of a cell, as in `from_flax`.

    Returns:
        For each layer the nested dict of an `RNN`, `{"cell": ...}`, or that of a
        `Bidirectional`, `{"forward_rnn": {"cell": ...}, "backward_rnn": {"cell":
        ...}}`. Linen takes it as `{"params": tree}`; in NNX `nnx.update(module, tree)`
        sets it.

    Raises:
        TypeError: If `layers` is not a list of tuples of recurrent parameters.
        ValueError: If `cell` is unknown or of another kind, shapes do not fit, or for
            what Flax has not: peepholes, projections, and in `nnx.GRUCell` a `b_hn`
            other than zero. As that is looked at, it must be None under `jax.jit`.

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

    Source: as `from_flax`. Flax's GRU is that of `gru(..., reset_after=True)`.
    """
    layout = _cell(cell)
    kind, parsed = parse_layers(layers, "Flax", ("b_hn",))
    if kind != layout.kind:
        raise ValueError(
            f'`cell` is "{cell}", but `layers` has {TYPES[kind].__name__}; it holds '
            f"{TYPES[layout.kind].__name__}."
        )
    trees = []
    for layer in parsed:
        cells = [{"cell": _tree(layout, params, cell)} for params in layer]
        ways = ("forward_rnn", "backward_rnn")
        both = len(layer) == 2
        trees.append(dict(zip(ways, cells, strict=True)) if both else cells[0])
    return trees


def _cell(name: str) -> _Cell:
    if name not in CELLS:
        raise ValueError(f"`cell` is {name!r}; wanted one of {', '.join(CELLS)}.")
    return CELLS[name]


def _params(cell: _Cell, tree: Mapping[str, Any], where: str) -> Any:
    """Build the parameters of one cell."""
    _check(cell, tree, where)
    tree = jax.tree.map(jnp.asarray, dict(tree))
    joined = lambda names, array: jnp.concatenate(
        [tree[name][array] for name in names], axis=-1
    )
    # Flax has the biases beside the state in its LSTM, else beside the input.
    b = joined(cell.states if cell.kind == "lstm" else cell.inputs, "bias")
    params = joined(cell.inputs, "kernel"), joined(cell.states, "kernel"), b
    if "hn" in cell.biased:
        return GRUParams(*params, tree["hn"]["bias"])
    return TYPES[cell.kind](*params)


def _tree(cell: _Cell, params: Any, name: str) -> dict[str, dict[str, jax.Array]]:
    """Return the tree of one cell."""
    b_hn = getattr(params, "b_hn", None)
    parted = lambda names, array: zip(
        names, jnp.split(array, len(names), axis=-1), strict=True
    )
    tree = {
        linear: {"kernel": kernel}
        for names, w in ((cell.inputs, params.w_xh), (cell.states, params.w_hh))
        for linear, kernel in parted(names, w)
    }
    biased = cell.states if cell.kind == "lstm" else cell.inputs
    for linear, bias in parted(biased, params.b):
        tree[linear]["bias"] = bias
    if "hn" in cell.biased:
        absent = jnp.zeros(params.w_hh.shape[0], params.b.dtype)
        tree["hn"]["bias"] = absent if b_hn is None else b_hn
    elif b_hn is not None and jnp.any(b_hn):
        raise ValueError(
            f'`layers` has a GRU with `b_hn` other than zero; "{name}" has no such '
            'bias. "linen.GRUCell" has; or train with `b_hn=None`.'
        )
    return tree


def _check(cell: _Cell, tree: Mapping[str, Any], where: str) -> None:
    """Check the names and shapes of one cell's tree."""
    linears = (*cell.inputs, *cell.states)
    check_names(f"`{where}`", tree, linears)
    for linear in linears:
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
