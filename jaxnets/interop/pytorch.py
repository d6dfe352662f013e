"""PyTorch: the state dict of `nn.RNN`, `nn.GRU` and `nn.LSTM`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.arguments import as_switch
from jaxnets.functional import GRUParams, LSTMParams, RNNParams
from jaxnets.functional.recurrence.arguments import check_shape
from jaxnets.interop.layers import (
    Layers,
    added_biases,
    check_mapping,
    check_matrix,
    check_names,
    check_string,
    gates_of,
    parse_layers,
    split_biases,
)
from jaxnets.typing import ArrayLike


DIRECTIONS = ("", "_reverse")


def from_pytorch(
    state_dict: Mapping[str, ArrayLike], kind: str, *, prefix: str = ""
) -> Layers:
    """Read the weights of PyTorch's `nn.RNN`, `nn.GRU` or `nn.LSTM`.

    PyTorch's matrices are transposed: `w_xh = weight_ih.T (D, G*H)` and `w_hh =
    weight_hh.T (H, G*H)`, or `(P, G*H)` with a projection `w_hr = weight_hr.T (H, P)`.
    Its gates have our order. Its two biases are added, `b = bias_ih + bias_hh`, except
    for the candidate of a GRU, where the second becomes `b_hn`.

    Args:
        state_dict: Arrays by name, `{name: w.numpy() for name, w in
            module.state_dict().items()}`. The names say how many layers and directions
            there are, and whether there are biases and a projection.
        kind: "rnn", "gru" or "lstm".
        prefix: The prefix of the module's names in the state dict of a larger model,
            such as "encoder.lstm.". Other names are ignored.

    Returns:
        One tuple per layer, `(forward,)` or `(forward, backward)`, of parameters in the
        dtype of the arrays. Run the backward ones with `reverse=True`; the next layer
        reads both outputs concatenated. Without biases `b` is zero and `b_hn` is None.

    Raises:
        ValueError: If a name is missing or unknown, or a shape does not fit.

    Example:
        >>> import numpy as np
        >>> from jaxnets.functional import gru
        >>> from jaxnets.interop import from_pytorch
        >>> state_dict = {
        ...     "rnn.weight_ih_l0": np.ones((6, 3), np.float32),
        ...     "rnn.weight_hh_l0": np.ones((6, 2), np.float32),
        ...     "rnn.bias_ih_l0": np.ones(6, np.float32),
        ...     "rnn.bias_hh_l0": np.ones(6, np.float32),
        ...     "head.weight": np.ones((1, 2), np.float32),
        ... }
        >>> [(params,)] = from_pytorch(state_dict, "gru", prefix="rnn.")
        >>> params.b, params.b_hn
        (Array([2., 2., 2., 2., 1., 1.], dtype=float32),
         Array([1., 1.], dtype=float32))
        >>> gru(params, np.ones((2, 5, 3), np.float32))[1].shape
        (2, 5, 2)

    Source: the documentation of `torch.nn.LSTM` and `torch.nn.GRU` ("Variables"). For
    `nonlinearity="relu"` run `rnn` with `activation=jax.nn.relu`.
    """
    gates_of(kind)
    check_mapping(
        state_dict,
        "state_dict",
        "a dict of arrays: `{name: w.numpy() for name, w in "
        "module.state_dict().items()}`",
    )
    check_string(prefix, "prefix", 'a string, such as "encoder.lstm."')
    found = {
        name.removeprefix(prefix): array
        for name, array in state_dict.items()
        if name.startswith(prefix)
    }
    if "weight_ih_l0" not in found:
        raise ValueError(
            f"`state_dict` has no {prefix}weight_ih_l0, only {sorted(state_dict)}. "
            "Pass what precedes weight_ih_l0 as `prefix`."
        )
    suffixes = _check(found, kind)
    weights = {name: jnp.asarray(array) for name, array in found.items()}
    return [
        tuple(_params(weights, kind, suffix) for suffix in layer) for layer in suffixes
    ]


def to_pytorch(
    layers: Sequence[Any], *, bias: bool = True, prefix: str = ""
) -> dict[str, np.ndarray]:
    """Write weights as the state dict of PyTorch's `nn.RNN`, `nn.GRU` or `nn.LSTM`.

    This is the inverse of `from_pytorch`: the matrices are transposed, `bias_ih` is
    `b`, and `bias_hh` is zero except for `b_hn` in the candidate of a GRU.

    Args:
        layers: One tuple per layer, `(forward,)` or `(forward, backward)`. All have the
            same sizes, as PyTorch has one `hidden_size` and one `proj_size`.
        bias: PyTorch's argument. False leaves out the biases, which must be zero.
        prefix: The prefix of all names.

    Returns:
        NumPy arrays by name, in PyTorch's order, for `module.load_state_dict({name:
        torch.from_numpy(w) for name, w in state_dict.items()})`. Weights in bfloat16,
        which NumPy and `torch.from_numpy` do not have, become float32; PyTorch rounds
        them to the dtype of the module when it loads them, which is exact for bfloat16.

    Raises:
        TypeError: If `layers` is not a list of tuples of recurrent parameters.
        ValueError: If sizes, kinds or directions differ between layers, or if `layers`
            has what PyTorch does not support: peepholes, and a projection to P >= H
            features.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_lstm
        >>> from jaxnets.interop import to_pytorch
        >>> params = init_lstm(jax.random.key(0), 4, 3, projection=2)
        >>> for name, w in to_pytorch([(params,)]).items():
        ...     print(name, w.shape)
        weight_ih_l0 (12, 4)
        weight_hh_l0 (12, 2)
        bias_ih_l0 (12,)
        bias_hh_l0 (12,)
        weight_hr_l0 (2, 3)

    Source: as `from_pytorch`. PyTorch's GRU is `gru(..., reset_after=True)`. PyTorch
    supports neither `clip` nor `coupled_gates`.
    """
    as_switch(bias, "bias")
    check_string(prefix, "prefix", 'a string, such as "encoder.lstm."')
    kind, parsed = parse_layers(layers, "PyTorch", ("b_hn", "w_hr"))
    if len({len(layer) for layer in parsed}) > 1:
        raise ValueError(
            f"`layers` has {[len(layer) for layer in parsed]} directions; wanted the "
            "same number in all layers. Write the others in a call of their own."
        )
    state_dict: dict[str, Any] = {}
    for number, layer in enumerate(parsed):
        for params, direction in zip(layer, DIRECTIONS, strict=False):
            for name, array in _arrays(params, bias).items():
                state_dict[f"{name}_l{number}{direction}"] = array
    _check(state_dict, kind)
    return {prefix + name: _numpy(array) for name, array in state_dict.items()}


def _numpy(array: jax.Array) -> np.ndarray:
    """Return an array that `torch.from_numpy` takes."""
    # The dtypes that are not NumPy's own, such as bfloat16, fit into float32.
    return np.array(array, None if array.dtype.isbuiltin == 1 else np.float32)


def _params(weights: Mapping[str, jax.Array], kind: str, suffix: str) -> Any:
    """Return our parameters for one layer and direction."""
    w_xh, w_hh = weights[f"weight_ih{suffix}"].T, weights[f"weight_hh{suffix}"].T
    b, b_hn = jnp.zeros(w_xh.shape[1], w_xh.dtype), None
    if f"bias_ih{suffix}" in weights:
        biases = weights[f"bias_ih{suffix}"], weights[f"bias_hh{suffix}"]
        b, b_hn = added_biases(kind, *biases)
    if kind == "gru":
        return GRUParams(w_xh, w_hh, b, b_hn)
    if kind == "rnn":
        return RNNParams(w_xh, w_hh, b)
    projection = weights.get(f"weight_hr{suffix}")
    return LSTMParams(w_xh, w_hh, b, None, None if projection is None else projection.T)


def _arrays(params: Any, bias: bool) -> dict[str, jax.Array]:
    """Return the arrays of one layer and direction, in PyTorch's order."""
    arrays = {"weight_ih": params.w_xh.T, "weight_hh": params.w_hh.T}
    biases = dict(zip(("bias_ih", "bias_hh"), split_biases(params), strict=True))
    if bias:
        arrays |= biases
    elif any(jnp.any(b) for b in biases.values()):
        raise ValueError(
            "`bias` is False, but `layers` has biases that are not zero. Pass "
            "`bias=True`."
        )
    w_hr = getattr(params, "w_hr", None)
    if w_hr is not None:
        hidden, outputs = w_hr.shape
        if outputs >= hidden:
            raise ValueError(
                f"`layers` has a projection from {hidden} to {outputs} features; "
                "wanted fewer outputs, as PyTorch's `proj_size` is below `hidden_size`."
            )
        arrays["weight_hr"] = w_hr.T
    return arrays


def _check(weights: Mapping[str, Any], kind: str) -> list[list[str]]:
    """Check names and shapes; return the suffixes of the directions of each layer."""
    depth = 0
    while f"weight_ih_l{depth}" in weights:
        depth += 1
    directions = DIRECTIONS[: 1 + ("weight_ih_l0_reverse" in weights)]
    suffixes = [[f"_l{n}{name}" for name in directions] for n in range(depth)]
    arrays = ["weight_ih", "weight_hh"]
    if any(name.startswith("bias_") for name in weights):
        arrays += ["bias_ih", "bias_hh"]
    if kind == "lstm" and any(name.startswith("weight_hr_") for name in weights):
        arrays.append("weight_hr")
    names = [array + suffix for row in suffixes for suffix in row for array in arrays]
    what = f"The weights of {depth} layers and {len(directions)} directions"
    check_names(what, weights, names)
    for name in names:
        if name.startswith("weight"):
            check_matrix(name, weights[name])
    for name, shape, why in _wanted_shapes(weights, kind, suffixes, arrays):
        check_shape(name, weights[name], shape, why)
    return suffixes


def _wanted_shapes(
    weights: Mapping[str, Any], kind: str, suffixes: list[list[str]], arrays: list[str]
) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Yield the name of each array, its shape by the sizes of layer 0, and why."""
    last = "weight_hr_l0" if "weight_hr" in arrays else "weight_hh_l0"
    outputs, hidden = jnp.shape(weights[last])
    if last == "weight_hh_l0":
        outputs = hidden
    gates = len(gates_of(kind))
    why = f"{gates} gates of H = {hidden}, as `{last}` and kind={kind!r} say"
    features = jnp.shape(weights["weight_ih_l0"])[1]
    for row in suffixes:
        shapes = {
            "weight_ih": (gates * hidden, features),
            "weight_hh": (gates * hidden, outputs),
            "bias_ih": (gates * hidden,),
            "bias_hh": (gates * hidden,),
            "weight_hr": (outputs, hidden),
        }
        for suffix in row:
            for array in arrays:
                yield array + suffix, shapes[array], why
        features = len(row) * outputs
