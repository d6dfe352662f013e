"""Stacked and bidirectional layers against their functions, called in turn."""

import functools
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import functional as F
from jaxnets import interop, models, nn
from jaxnets.gradflow import measure
from tests.cells import EVERY
from tests.nn.recurrent.test_layers import assert_close, disturbed


D, H = 3, 4
PYTORCH = pathlib.Path(__file__).parents[2] / "interop/references/pytorch.json"


@pytest.fixture
def x(rng):
    return rng.normal(size=(3, 5, D)).astype(np.float32)


def construct(module, **options):
    return disturbed(module(D, H, **options, rngs=nnx.Rngs(0)))


def test_a_stack_calls_its_functions_in_turn(x):
    stack = construct(nn.GRU, num_layers=2, reset_after=False)
    scan = {"lengths": np.array([5, 0, 2]), "reverse": True, "reset_after": False}
    (below,), (above,) = stack.layer_params
    start = (np.full((3, H), 0.3, np.float32), np.full((3, H), -0.2, np.float32))

    def by_hand(x):
        first, ys = F.gru(below, x, start[0], **scan)
        second, ys = F.gru(above, ys, start[1], **scan)
        return (first, second), ys

    called = {name: scan[name] for name in ("lengths", "reverse")}
    actual, expected = jax.jit(lambda x: (stack(x, start, **called), by_hand(x)))(x)
    assert_close(actual, expected)
    assert_close(stack.last_h(actual[0]), actual[0][1])
    # Length 0 gives the initial state, in every layer.
    np.testing.assert_array_equal([h[1] for h in actual[0]], [s[1] for s in start])


@pytest.mark.parametrize("family", EVERY, ids=lambda f: f.name)
def test_every_cell_stacks_in_both_directions(family, x):
    stack = construct(family.layer, num_layers=2, bidirectional=True, dropout=0.1)
    stack.eval()
    state, ys = stack(x)
    assert len(state) == 2 and ys.shape == (3, 5, 2 * H)
    assert_close(stack.last_h(state)[:, :H], ys[:, -1, :H])


def test_both_directions_read_the_concatenated_outputs_of_the_layer_before(x):
    stack = construct(nn.LSTM, num_layers=2, bidirectional=True, projection=2)
    scan = {
        "lengths": np.array([5, 0, 2]),
        "resets": np.arange(15).reshape(3, 5) % 4 == 2,
    }
    key = jax.random.key(3)
    drawn: dict[str, Any] = {"zoneout": 0.3, "recurrent_dropout": 0.2}

    def by_hand(x):
        finals = []
        for number, (there, back) in enumerate(stack.layer_params):
            share = jax.random.split(key, 2)[number]
            final, x = F.bidirectional(
                F.lstm, there, back, x, key=share, **scan, **drawn
            )
            finals.append(final)
        return tuple(finals), x

    def both(x):
        return stack(x, key=key, **scan, **drawn), by_hand(x)

    actual, expected = jax.jit(both)(x)
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    assert_close(actual, expected)
    assert (stack.out_features, actual[1].shape) == (4, (3, 5, 4))
    (_, (forward, backward)), _ = actual
    last = np.concatenate([forward.h, backward.h], -1)
    np.testing.assert_array_equal(stack.last_h(actual[0]), last)


LENGTHS = np.array([5, 0, 3])
RESETS = np.arange(15).reshape(3, 5) % 4 == 2


@pytest.mark.parametrize(
    ("module", "bidirectional", "scan"),
    [
        (nn.LSTM, False, {"reverse": True, "truncate": 2, "checkpoint": 2}),
        (nn.RNN, True, {"clip_cotangent": 0.1, "checkpoint": "sqrt"}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_scan_options_reach_every_layer_and_direction(module, bidirectional, scan, x):
    scan = {"lengths": LENGTHS, "resets": RESETS, **scan}
    stack = construct(module, num_layers=2, bidirectional=bidirectional)
    run = getattr(F, module.__name__.lower())
    definition, params = nnx.split(stack)
    plain = {name: scan[name] for name in scan if name != "checkpoint"}
    ways = [{}, {"reverse": True}] if bidirectional else [{}]

    def by_hand(stack, x):
        finals = []
        for layer in stack.layer_params:
            pairs = zip(layer, ways, strict=True)
            results = [run(way, x, **plain, **how) for way, how in pairs]
            x = jnp.concatenate([ys for _, ys in results], -1)
            finals.append([final for final, _ in results])
        return finals, x

    def loss(run, params, x):
        results = run(nnx.merge(definition, params), x)
        leaves = jax.tree.leaves(results)
        return sum(jnp.sum(jnp.sin(3.0 * leaf)) for leaf in leaves), leaves

    gradients = lambda run: jax.jit(
        jax.grad(functools.partial(loss, run), (0, 1), has_aux=True)
    )(params, x)
    actual = gradients(lambda stack, x: stack(x, **scan))
    assert_close(actual, gradients(by_hand))


def test_outputs_and_gradients_with_weights_of_pytorch():
    case = json.loads(PYTORCH.read_text())["lstm, 2 layers, 2 directions, projection"]
    array = lambda numbers: np.array(numbers, np.float32)
    weights = {name: array(w) for name, w in case["weights"].items()}
    features, hidden = (
        weights["weight_ih_l0"].shape[1],
        weights["weight_hr_l0"].shape[1],
    )
    stack = nn.LSTM(
        features,
        hidden,
        num_layers=2,
        bidirectional=True,
        projection=weights["weight_hr_l0"].shape[0],
        rngs=nnx.Rngs(0),
    )
    stack.set_layer_params(interop.from_pytorch(weights, "lstm"))
    h_bar, c_bar = map(array, case["state_bar"])

    def loss(x):
        state, ys = stack(x)
        ways = [way for layer in state for way in layer]
        h, c = jnp.stack([s.h for s in ways]), jnp.stack([s.c for s in ways])
        total = jnp.vdot(ys, array(case["ys_bar"]))
        return total + jnp.vdot(h, h_bar) + jnp.vdot(c, c_bar), (ys, h, c)

    gradient, results = jax.jit(jax.grad(loss, has_aux=True))(array(case["x"]))
    assert_close(results, (array(case["ys"]), *map(array, case["state"])))
    np.testing.assert_allclose(gradient, array(case["gradients"]["x"]), 1e-5, 2e-6)
    written = interop.to_pytorch(stack.layer_params)
    # PyTorch has two biases where we have one, so only the weights are compared.
    assert_close(written["weight_hh_l1_reverse"], weights["weight_hh_l1_reverse"])


def test_dropout_acts_between_layers_in_train_mode_only(x):
    # A rate of one leaves the upper layer without any input.
    stack = construct(nn.RNN, num_layers=2, dropout=1.0)
    state, ys = stack(x)
    (below,), (above,) = stack.layer_params
    first, outputs = F.rnn(below, x)
    second, without = F.rnn(above, np.zeros((3, 5, H), np.float32))
    assert_close((state, ys), ((first, second), without))
    stack.eval()
    assert_close(stack(x)[1], F.rnn(above, outputs)[1])
    stack.train()
    assert_close(stack(x, deterministic=True)[1], F.rnn(above, outputs)[1])

    random = construct(nn.RNN, num_layers=2, dropout=0.5)
    one, other = random(x)[1], random(x)[1]
    assert np.abs(one - other).max() > 1e-3
    again = [random(x, rngs=nnx.Rngs(7))[1] for _ in range(2)]
    np.testing.assert_array_equal(*again)


def test_each_layer_and_direction_has_its_own_taps(x):
    stack = construct(nn.GRU, num_layers=2, bidirectional=True, name="encoder")
    definition, params = nnx.split(stack)
    loss = lambda params: jnp.sum(nnx.merge(definition, params)(x)[1])
    taps = jax.eval_shape(lambda params: measure(loss, params).taps, params)
    assert set(taps) == {
        f"encoder/layer{number}/{way}/{tap}"
        for number in (0, 1)
        for way in ("forward", "backward")
        for tap in "hrzn"
    }
    assert {stats.norm.shape for stats in taps.values()} == {(5,)}


def test_weights_are_named_by_layer_and_direction():
    stack = nn.RNN(D, H, num_layers=2, bidirectional=True, rngs=nnx.Rngs(0))
    flat = nnx.to_flat_state(nnx.state(stack, nnx.Param))
    shapes = {path: w[...].shape for path, w in flat if path[-1] == "w_xh"}
    assert shapes == {
        ("layers", number, way, "w_xh"): (size, H)
        for number, size in ((0, D), (1, 2 * H))
        for way in ("forward", "backward")
    }
    single = nn.RNN(D, H, bidirectional=True, rngs=nnx.Rngs(0))
    ((forward, backward),), ys = single(np.ones((2, D), np.float32))
    assert (forward.shape, backward.shape, ys.shape) == ((H,), (H,), (2, 2 * H))


def test_models_accept_stacks(x):
    options = {"num_layers": 2, "bidirectional": True, "rngs": nnx.Rngs(0)}
    assert models.ManyToOne(nn.LSTM, D, H, 1, **options)(x).shape == (3, 1)
    model = models.CharacterModel(nn.GRU, 4, H, num_layers=2, rngs=nnx.Rngs(0))
    assert model.generate(np.array([[0, 1]]), 3).shape == (1, 3)


def test_set_layer_params_of_a_single_layer(x):
    layer = construct(nn.GRU)
    other = F.init_gru(jax.random.key(5), D, H)._replace(b_hn=None)
    layer.set_layer_params([(other,)])
    assert_close(layer(x), F.gru(other, x))
    assert_close(layer.layer_params, [(layer.params,)])


def test_errors_name_the_argument(x):
    rngs = nnx.Rngs(0)
    with pytest.raises(ValueError, match="`num_layers` is 0"):
        nn.RNN(D, H, num_layers=0, rngs=rngs)
    with pytest.raises(ValueError, match=r"`dropout` is 1\.5"):
        nn.RNN(D, H, num_layers=2, dropout=1.5, rngs=rngs)
    with pytest.raises(ValueError, match=r"`dropout` is 0\.1, but it acts between"):
        nn.RNN(D, H, dropout=0.1, rngs=rngs)
    stack = nn.LSTM(D, H, num_layers=2, rngs=rngs)
    with pytest.raises(TypeError, match="`state` is of type LSTMState"):
        stack(x, F.LSTMState(np.zeros((3, H)), np.zeros((3, H))))
    with pytest.raises(ValueError, match="`state` has 1 elements; wanted 2"):
        stack(x, (None,))
    with pytest.raises(ValueError, match="`reverse` is not supported"):
        nn.RNN(D, H, bidirectional=True, rngs=rngs)(x, reverse=True)
    with pytest.raises(ValueError, match="`params` are those of one layer"):
        _ = stack.params
    lstm = F.init_lstm(jax.random.key(0), D, H)
    with pytest.raises(ValueError, match=r"`layers` has \[1\] directions"):
        stack.set_layer_params([(lstm,)])
    with pytest.raises(ValueError, match=r"layers\[1\]\[0\].w_xh` has shape"):
        stack.set_layer_params([(lstm,), (lstm,)])
    with pytest.raises(TypeError, match=r"layers\[0\]\[0\]` is of type RNNParams"):
        stack.set_layer_params([(F.init_rnn(jax.random.key(0), D, H),)] * 2)
    projected = F.init_lstm(jax.random.key(0), D, H, projection=2)
    with pytest.raises(ValueError, match="has `w_hr`, and this layer has no"):
        nn.LSTM(D, H, rngs=rngs).set_layer_params(
            [(projected._replace(w_hh=lstm.w_hh),)]
        )
