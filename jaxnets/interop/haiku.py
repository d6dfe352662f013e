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
    check_matrix,
    check_names,
    gates_of,
    parse_layers,
    reordered,
    split_biases,
)


# Haiku's names of its classes' instances, and its order of our gates. Its candidate a
# of the GRU is our n.
NAMES = {"rnn": "vanilla_rnn", "gru": "gru", "lstm": "lstm"}
HAIKU_GATES = {"rnn": "h", "gru": "zrn", "lstm": "igfo"}
# The modules of one core below its name, and their arrays. `b` of the second linear is
# absent with `double_bias=False`.
MODULES = {
    "rnn": {"/linear": ("w", "b"), "/linear_1": ("w", "b")},
    "gru": {"": ("w_i", "w_h", "b")},
    "lstm": {"/linear": ("w", "b")},
}


def from_haiku(
    params: Mapping[str, Mapping[str, Any]], kind: str, *, name: str | None = None
) -> Layers:
    """Read the parameters of Haiku's `hk.VanillaRNN`, `hk.GRU` or `hk.LSTM`.

    - `hk.LSTM` has one matrix for `[x_t, h]`, the columns i, g, f, o, and adds 1 to f
      in its forward pass: `b_f = 1 + b_f` of Haiku.
    - `hk.GRU` has the columns z, r, a and `h' = (1 - z) * h + z * a`, where ours is
      `(1 - z) * n + z * h`. As `1 - sigmoid(a) = sigmoid(-a)`, z's columns and bias
      change their sign.
    - `hk.VanillaRNN` has two biases, which are added.

    Args:
        params: What `hk.transform(...).init` returns: arrays by module and name.
        kind: "rnn", "gru" or "lstm".
        name: Path of the core, such as "encoder/~/lstm"; None is Haiku's default name
            at the top, "vanilla_rnn", "gru" or "lstm". The cores that Haiku numbers
            from there, `name_1`, `name_2` and so on, as in an `hk.DeepRNN`, are the
            further layers. Other modules are passed over.

    Returns:
        One tuple `(forward,)` a core. Haiku's cores know no direction: where the second
        of two reads time backwards, make it `[(first, second)]`.

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
    the RNN with `activation=jax.nn.relu`: Haiku has these forms only.
    """
    gates_of(kind)
    core = NAMES[kind] if name is None else name
    layers: Layers = []
    while modules := _modules(params, kind, _numbered(core, len(layers))):
        layers.append((_params(kind, modules, _numbered(core, len(layers))),))
    if not layers:
        wanted = " and ".join(core + module for module in MODULES[kind])
        raise ValueError(
            f"`params` has no {wanted}, only {sorted(params)}. Give the path of the "
            "core as `name`."
        )
    return layers


def to_haiku(
    layers: Sequence[Any], *, name: str | None = None
) -> dict[str, dict[str, jax.Array]]:
    """Write weights as the parameters of Haiku's recurrent cores.

    The inverse of `from_haiku`: 1 is taken from the forget gate's bias of an LSTM, z of
    a GRU changes its sign, and the second bias of an RNN is zero (`double_bias=False`
    does not read it). A GRU's `b_hn`, which stands outside of r in Haiku's form, is
    added to b.

    Args:
        layers: One tuple `(forward,)` a core.
        name: Path of the first core, as in `from_haiku`.

    Returns:
        Arrays by module and name, to be put into the parameters of the model.

    Raises:
        TypeError: If `layers` is not a list of tuples of recurrent parameters.
        ValueError: If kinds are mixed or shapes do not fit, or for what Haiku has not:
            peepholes, projections, and two directions in one core.

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
    core = NAMES[kind] if name is None else name
    written = {}
    for number, layer in enumerate(parsed):
        if len(layer) != 1:
            raise ValueError(
                "`layers` has a layer of two directions; a core of Haiku has one. "
                "Write each direction by itself, with the `name` of its core."
            )
        for module, arrays in _arrays(kind, layer[0]).items():
            written[_numbered(core, number) + module] = arrays
    return written


def _numbered(core: str, number: int) -> str:
    return f"{core}_{number}" if number else core


def _modules(params: Mapping[str, Any], kind: str, core: str) -> dict[str, Any]:
    """Return the modules of one core; nothing if `params` has none of them."""
    names = {module: core + module for module in MODULES[kind]}
    return {module: params[name] for module, name in names.items() if name in params}


def _params(kind: str, modules: dict[str, Any], core: str) -> Any:
    """Build the parameters of one core."""
    check_names(f"The modules of `{core}`", modules, MODULES[kind])
    for module, names in MODULES[kind].items():
        held = modules[module]
        once = module == "/linear_1" and "b" not in held
        check_names(f"`{core}{module}`", held, ("w",) if once else names)
        for name in sorted({*names} - {"b"}):
            check_matrix(f"{core}{module}.{name}", held[name])
    for module, shapes in _shapes(kind, modules).items():
        for name in modules[module]:
            why = f"as the core's other arrays and kind={kind!r} say"
            array = f"{core}{module}.{name}"
            check_shape(array, modules[module][name], shapes[name], why)

    read = {"rnn": _rnn, "gru": _gru, "lstm": _lstm}[kind]
    return read(*jax.tree.map(jnp.asarray, list(modules.values())))


def _shapes(kind: str, modules: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the shapes that the arrays of a core must have, D as it came."""
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
        reordered(_opposite_z(arrays[name]), HAIKU_GATES["gru"], GATES["gru"])
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
    """Return the arrays of one core, by module below its name."""
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
            _opposite_z(reordered(array, GATES["gru"], HAIKU_GATES["gru"]))
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


def _opposite_z(w: jax.Array) -> jax.Array:
    """Negate the first third of the columns, z in Haiku's order."""
    return w.at[..., : w.shape[-1] // 3].multiply(-1)
