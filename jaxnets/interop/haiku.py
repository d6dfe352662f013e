"""Haiku: the parameters of `hk.VanillaRNN`, `hk.GRU` and `hk.LSTM`."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.functional import GRUParams, LSTMParams, RNNParams
from jaxnets.functional.recurrence.arguments import check_shape
from jaxnets.interop.layers import (
    GATES,
    Layers,
    check_mapping,
    check_matrix,
    check_names,
    check_string,
    gates_of,
    parse_layers,
    reordered,
    split_biases,
)


# Haiku's default names of its cores, and the order of our gates in its columns. Its
# GRU calls our candidate n "a".
NAMES = {"rnn": "vanilla_rnn", "gru": "gru", "lstm": "lstm"}
HAIKU_GATES = {"rnn": "h", "gru": "zrn", "lstm": "igfo"}
# The modules of one core, relative to its name, and their arrays. With
# `double_bias=False` the second linear layer of an RNN has no `b`.
MODULES = {
    "rnn": {"/linear": ("w", "b"), "/linear_1": ("w", "b")},
    "gru": {"": ("w_i", "w_h", "b")},
    "lstm": {"/linear": ("w", "b")},
}


def from_haiku(
    params: Mapping[str, Mapping[str, Any]], kind: str, *, name: str | None = None
) -> Layers:
    """Read the parameters of Haiku's `hk.VanillaRNN`, `hk.GRU` or `hk.LSTM`.

    - `hk.LSTM` has one matrix for `[x_t, h]` with the columns i, g, f, o. Its forward
      pass adds 1 to f, so 1 is added to the bias of f.
    - `hk.GRU` has the columns z, r, a and computes `h' = (1 - z) * h + z * a`; ours is
      `h' = (1 - z) * n + z * h`. Since `1 - sigmoid(a) = sigmoid(-a)`, the columns and
      the bias of z change their sign.
    - `hk.VanillaRNN` has two biases. Their sum is `b`.

    Args:
        params: The arrays by module and name that `hk.transform(...).init` returns.
        kind: "rnn", "gru" or "lstm".
        name: The path of the core, such as "encoder/~/lstm". None is Haiku's default
            name, "vanilla_rnn", "gru" or "lstm". The cores that Haiku calls `name_1`,
            `name_2` and so on, as in an `hk.DeepRNN`, are the next layers. Other
            modules are ignored.

    Returns:
        One tuple `(forward,)` per core. Haiku's cores have no direction: if the second
        of two cores runs backwards in time, rearrange them as `[(first, second)]`.

    Raises:
        ValueError: If there is no such core, a name is missing or unknown, or a shape
            does not fit.

    Example:
        >>> import numpy as np
        >>> from jaxnets.functional import lstm
        >>> from jaxnets.interop import from_haiku
        >>> ones = lambda *shape: np.ones(shape, np.float32)
        >>> params = {"lstm/linear": {"w": ones(3 + 2, 8), "b": ones(8)}}
        >>> [(params,)] = from_haiku(params, "lstm")
        >>> params.b
        Array([1., 1., 2., 2., 1., 1., 1., 1.], dtype=float32)
        >>> lstm(params, ones(5, 6, 3))[1].shape
        (5, 6, 2)

    Source: Haiku, `haiku/_src/recurrent.py`. Run the GRU with `reset_after=False` and
    the RNN with `activation=jax.nn.relu`, as Haiku does.
    """
    gates_of(kind)
    check_mapping(params, "params", "a dict of the modules, each a dict of arrays")
    core = _core(kind, name)
    layers: Layers = []
    while modules := _modules(params, kind, _numbered(core, len(layers))):
        layers.append((_params(kind, modules, _numbered(core, len(layers))),))
    if not layers:
        wanted = " and ".join(core + module for module in MODULES[kind])
        raise ValueError(
            f"`params` has no {wanted}, only {sorted(params)}. Pass the path of the "
            "core as `name`."
        )
    return layers


def to_haiku(
    layers: Sequence[Any], *, name: str | None = None
) -> dict[str, dict[str, jax.Array]]:
    """Write weights as the parameters of Haiku's recurrent cores.

    This is the inverse of `from_haiku`: 1 is subtracted from the forget gate's bias of
    an LSTM, z of a GRU changes its sign, and the second bias of an RNN is zero (with
    `double_bias=False` Haiku does not read it). A GRU's `b_hn` is added to `b`, since
    Haiku's r does not multiply a bias.

    Args:
        layers: One tuple `(forward,)` per core.
        name: The path of the first core, as in `from_haiku`.

    Returns:
        Arrays by module and name, to be merged into the parameters of the model.

    Raises:
        TypeError: If `layers` is not a list of tuples of recurrent parameters.
        ValueError: If kinds are mixed, if shapes do not fit, or if `layers` has what
            Haiku does not support: peepholes, projections, and layers of two
            directions.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_lstm
        >>> from jaxnets.interop import to_haiku
        >>> params = init_lstm(jax.random.key(0), 4, 3)
        >>> jax.tree.map(lambda w: w.shape, to_haiku([(params,)], name="net/~/lstm"))
        {'net/~/lstm/linear': {'b': (12,), 'w': (7, 12)}}

    Source: as `from_haiku`.
    """
    kind, parsed = parse_layers(layers, "Haiku", ("b_hn",))
    core = _core(kind, name)
    written = {}
    for number, layer in enumerate(parsed):
        if len(layer) != 1:
            raise ValueError(
                "`layers` has a layer of two directions; wanted one, as a core of "
                "Haiku has. Write each direction in a call of its own, with the `name` "
                "of its core."
            )
        for module, arrays in _arrays(kind, layer[0]).items():
            written[_numbered(core, number) + module] = arrays
    return written


def _core(kind: str, name: str | None) -> str:
    """Return the path of the first core."""
    if name is not None:
        check_string(name, "name", 'the path of the core, such as "encoder/~/lstm"')
    return NAMES[kind] if name is None else name


def _numbered(core: str, number: int) -> str:
    return f"{core}_{number}" if number else core


def _modules(params: Mapping[str, Any], kind: str, core: str) -> dict[str, Any]:
    """Return the modules of one core that `params` has."""
    names = {module: core + module for module in MODULES[kind]}
    return {module: params[name] for module, name in names.items() if name in params}


def _params(kind: str, modules: dict[str, Any], core: str) -> Any:
    """Return our parameters for the modules of one core."""
    check_names(f"The modules of `{core}`", modules, MODULES[kind])
    for module, names in MODULES[kind].items():
        arrays = modules[module]
        check_mapping(arrays, core + module, "a dict of arrays")
        one_bias = module == "/linear_1" and "b" not in arrays
        check_names(f"`{core}{module}`", arrays, ("w",) if one_bias else names)
        for name in sorted({*names} - {"b"}):
            check_matrix(f"{core}{module}.{name}", arrays[name])
    for module, shapes in _shapes(kind, modules).items():
        for name in modules[module]:
            why = f"to fit the core's other arrays and kind={kind!r}"
            array = f"{core}{module}.{name}"
            check_shape(array, modules[module][name], shapes[name], why)

    read = {"rnn": _rnn, "gru": _gru, "lstm": _lstm}[kind]
    return read(*jax.tree.map(jnp.asarray, list(modules.values())))


def _shapes(kind: str, modules: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the shapes that the arrays of a core must have, for its own D and H."""
    if kind == "rnn":
        features = jnp.shape(modules["/linear"]["w"])[0]
        hidden = jnp.shape(modules["/linear_1"]["w"])[0]
        return {
            "/linear": {"w": (features, hidden), "b": (hidden,)},
            "/linear_1": {"w": (hidden, hidden), "b": (hidden,)},
        }
    if kind == "gru":
        features = jnp.shape(modules[""]["w_i"])[0]
        hidden = jnp.shape(modules[""]["w_h"])[0]
        columns = 3 * hidden
        w_i, w_h = (features, columns), (hidden, columns)
        return {"": {"w_i": w_i, "w_h": w_h, "b": (columns,)}}
    rows, columns = jnp.shape(modules["/linear"]["w"])
    hidden = columns // 4
    return {
        "/linear": {"w": (max(rows, hidden), 4 * hidden), "b": (4 * hidden,)},
    }


def _rnn(from_input: dict[str, Any], from_state: dict[str, Any]) -> RNNParams:
    b = from_input["b"]
    if "b" in from_state:
        b = b + from_state["b"]
    return RNNParams(from_input["w"], from_state["w"], b)


def _gru(arrays: dict[str, Any]) -> GRUParams:
    ours = [
        reordered(_negate_z(arrays[name]), HAIKU_GATES["gru"], GATES["gru"])
        for name in ("w_i", "w_h", "b")
    ]
    return GRUParams(*ours)


def _lstm(arrays: dict[str, Any]) -> LSTMParams:
    w, b = (
        reordered(arrays[name], HAIKU_GATES["lstm"], GATES["lstm"]) for name in "wb"
    )
    hidden = b.shape[0] // 4
    features = w.shape[0] - hidden
    b = b.at[hidden : 2 * hidden].add(1)
    return LSTMParams(w[:features], w[features:], b)


def _arrays(kind: str, params: Any) -> dict[str, dict[str, jax.Array]]:
    """Return the arrays of one core for our parameters, by module and name."""
    if kind == "rnn":
        b_x, b_h = split_biases(params)
        return {
            "/linear": {"w": params.w_xh, "b": b_x},
            "/linear_1": {"w": params.w_hh, "b": b_h},
        }
    if kind == "gru":
        b_x, b_h = split_biases(params)
        ours = params.w_xh, params.w_hh, b_x + b_h
        theirs = [
            _negate_z(reordered(array, GATES["gru"], HAIKU_GATES["gru"]))
            for array in ours
        ]
        return {"": dict(zip(("w_i", "w_h", "b"), theirs, strict=True))}
    hidden = params.b.shape[0] // 4
    w = jnp.concatenate([params.w_xh, params.w_hh])
    b = params.b.at[hidden : 2 * hidden].add(-1)
    theirs = {"w": w, "b": b}
    return {
        "/linear": {
            name: reordered(array, GATES["lstm"], HAIKU_GATES["lstm"])
            for name, array in theirs.items()
        }
    }


def _negate_z(w: jax.Array) -> jax.Array:
    """Negate the first third of the columns, which is z in Haiku's order."""
    return w.at[..., : w.shape[-1] // 3].multiply(-1)
