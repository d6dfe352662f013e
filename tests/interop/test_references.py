"""PyTorch, Keras and Haiku: we compute what they computed once.

`make_references.py` says how the stored arrays were made. We differentiate through
`from_*`, so our gradients are with respect to the other library's weights.
"""

import json
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import interop
from jaxnets.functional import gru, init_gru, init_lstm, lstm, rnn


class Library(NamedTuple):
    """How to read and write a library's weights, and the options of some cases.

    Attributes:
        read: `read(weights, kind)` returns layers.
        write: `write(layers, **options)` returns weights.
        ours: Options of our function by the name of the case.
        theirs: Options of `write` by the name of the case.
    """

    read: Any
    write: Any
    ours: dict[str, Any]
    theirs: dict[str, Any]


BEFORE = {"reset_after": False}
RELU = {"activation": jax.nn.relu}
LIBRARIES = {
    "pytorch": Library(interop.from_pytorch, interop.to_pytorch, {}, {}),
    "keras": Library(
        lambda weights, kind: interop.from_keras([weights], kind),
        lambda layers, **options: interop.to_keras(layers, **options)[0],
        {"gru, reset before": BEFORE},
        {"gru, reset before": BEFORE, "rnn, no bias": {"use_bias": False}},
    ),
    "haiku": Library(
        interop.from_haiku,
        interop.to_haiku,
        {"gru": BEFORE, "rnn": RELU, "rnn, one bias": RELU},
        {},
    ),
}
FOLDER = pathlib.Path(__file__).parent / "references"
STORED = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in LIBRARIES}
every_case = pytest.mark.parametrize(
    ("library", "name"),
    [
        (library, name)
        for library, cases in STORED.items()
        for name in cases
        if name != "versions"
    ],
)


def array(numbers) -> np.ndarray:
    return np.array(numbers, np.float32)


def arrays(weights) -> Any:
    """Return stored weights as arrays, in a list (Keras) or in nested dicts."""
    if isinstance(weights, list):
        return [array(item) for item in weights]
    return {
        name: arrays(item) if isinstance(item, dict) else array(item)
        for name, item in weights.items()
    }


def stack(kind, layers, x, **options) -> list[jax.Array]:
    """Run layer after layer, with both directions concatenated: `[ys, *states]`."""
    run = {"rnn": rnn, "gru": gru, "lstm": lstm}[kind]
    states = []
    for layer in layers:
        results = [
            run(params, x, reverse=reverse, **options)
            for params, reverse in zip(layer, (False, True), strict=False)
        ]
        states += [state for state, _ in results]
        x = jnp.concatenate([ys for _, ys in results], axis=-1)
    return [x, *states]


def assert_close(actual, expected, **tolerance):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **tolerance), actual, expected
    )


@every_case
def test_outputs_states_and_gradients_equal_the_stored_ones(library, name):
    case, (read, _, ours, _) = STORED[library][name], LIBRARIES[library]
    weights, x, gradients = arrays(case["weights"]), array(case["x"]), case["gradients"]
    expected, bars = (
        [array(case[f"ys{bar}"]), *map(array, case[f"state{bar}"])]
        for bar in ("", "_bar")
    )

    def loss(weights, x):
        layers = read(weights, case["kind"])
        ys, *states = stack(case["kind"], layers, x, **ours.get(name, {}))
        if library == "pytorch":  # It stacks h, and c, of all layers.
            states = [jax.tree.map(lambda *arrays: jnp.stack(arrays), *states)]
        results = [ys, *jax.tree.leaves(states)]
        return sum(map(jnp.vdot, results, bars)), results

    differentiate = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
    (by_weights, by_x), results = differentiate(weights, x)
    assert_close(results, expected, rtol=1e-5, atol=1e-6)
    assert_close(by_x, array(gradients["x"]), rtol=1e-5, atol=2e-6)
    assert_close(by_weights, arrays(gradients["weights"]), rtol=1e-5, atol=2e-6)


@every_case
def test_weights_that_are_read_and_written_are_the_same(library, name):
    case, (read, write, _, theirs) = STORED[library][name], LIBRARIES[library]
    weights, kind = arrays(case["weights"]), case["kind"]
    layers = read(weights, kind)
    written = write(layers, **theirs.get(name, {}))
    # 1 is added to the forget gate's bias of Haiku, and subtracted again.
    tolerance = 1e-6 if (library, kind) == ("haiku", "lstm") else 0
    assert_close(read(written, kind), layers, rtol=tolerance)
    if name == "rnn, one bias":
        del written["vanilla_rnn/linear_1"]["b"]
    assert jax.tree.map(jnp.shape, written) == jax.tree.map(jnp.shape, weights)
    if library == "pytorch":
        assert list(written) == list(weights)
    if library != "haiku":
        leaves = jax.tree.leaves(written)
        assert all(isinstance(leaf, np.ndarray) for leaf in leaves)


@pytest.mark.parametrize("library", ["keras", "haiku"])
def test_b_hn_that_r_does_not_multiply_is_added(library, rng):
    x = jnp.asarray(rng.standard_normal((2, 4, 3)), jnp.float32)
    b, b_hn = (jnp.asarray(rng.standard_normal(n), jnp.float32) for n in (6, 2))
    params = init_gru(jax.random.key(0), 3, 2)._replace(b=b, b_hn=b_hn)
    read, write, *_ = LIBRARIES[library]
    written = write([(params,)], **(BEFORE if library == "keras" else {}))
    [(returned,)] = read(written, "gru")
    assert returned.b_hn is None
    run = jax.jit(lambda params: gru(params, x, reset_after=False)[1])
    np.testing.assert_allclose(run(returned), run(params), rtol=1e-5, atol=1e-6)


def test_biases_of_pytorch_may_be_absent():
    stored = arrays(STORED["pytorch"]["gru, 2 layers"]["weights"])
    weights = {name: w for name, w in stored.items() if "bias" not in name}
    layers = interop.from_pytorch(weights, "gru")
    assert all(params.b_hn is None and not params.b.any() for (params,) in layers)
    assert_close(interop.to_pytorch(layers, bias=False), weights, rtol=0)


def test_the_weights_of_a_layer_are_found_in_those_of_a_larger_model():
    for library, prefix, name in (("pytorch", "net.rnn.", "rnn"), ("haiku", "", "gru")):
        case, (read, write, *_) = STORED[library][name], LIBRARIES[library]
        layers = read(arrays(case["weights"]), case["kind"])
        where = {"prefix": prefix} if prefix else {"name": "net/~/core"}
        written = write(layers, **where)
        assert all(name.startswith("net") for name in written)
        larger = written | {"head": {"w": np.ones(2)} if not prefix else np.ones(2)}
        assert_close(read(larger, case["kind"], **where), layers, rtol=0)


def test_weights_in_bfloat16_are_written_in_float32():
    params = init_lstm(jax.random.key(0), 3, 2, dtype=jnp.bfloat16)
    written = interop.to_pytorch([(params,)])
    assert {array.dtype for array in written.values()} == {np.dtype(np.float32)}
    [(read,)] = interop.from_pytorch(written, "lstm")
    np.testing.assert_array_equal(read.w_hh.astype(jnp.bfloat16), params.w_hh)
