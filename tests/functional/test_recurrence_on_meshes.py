"""Recurrences on meshes, and with symbolic numbers of sequences and steps.

The types of arrays on a mesh do not depend on the number of its devices, so one device
shows whether every loop returns its state in the type that it got.
"""

import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from jaxnets import functional as F


BATCH, TIME, FEATURES, HIDDEN = 4, 5, 3, 2
KEY = jax.random.key(0)
SHARDED = PartitionSpec("d")


def custom_step(params, x, **options):
    def step(h, x_t):
        h = jnp.tanh(x_t @ params.w_xh + h @ params.w_hh)
        return h, h * h

    return F.recur(step, jnp.zeros((x.shape[0], HIDDEN)), x, **options)


def own_activation(params, x, **options):
    return F.gru(params[0], x, activation=lambda a: jnp.tanh(params[1] * a), **options)


def both_directions(params, x, **options):
    return F.bidirectional(F.lstm, params, params, x, **options)


RNN = F.init_rnn(KEY, FEATURES, HIDDEN)
GRU = F.init_gru(KEY, FEATURES, HIDDEN)
LSTM = F.init_lstm(KEY, FEATURES, HIDDEN)
PROJECTED = F.init_lstm(KEY, FEATURES, HIDDEN, peephole=True, projection=2)
MIN_GRU = F.init_min_gru(KEY, FEATURES, HIDDEN)
FILM = F.init_conv_lstm(KEY, FEATURES, HIDDEN, (3,))
LENGTHS = {"lengths": np.array([4, 0, 2, 3])}
BOTH = LENGTHS | {"resets": np.array(4 * [[False, False, True, False, True]])}
MASK = {"recurrent_dropout": np.ones((BATCH, HIDDEN), np.float32)}
SEGMENTS = LENGTHS | {"checkpoint": 2}
DRAWN = {"zoneout": 0.3, "recurrent_dropout": 0.3, "key": KEY, "layer_norm": True}

CASES = {
    "rnn-split": (F.rnn, RNN, BOTH | {"implementation": "split", "reverse": True}),
    "rnn-scan": (F.rnn, RNN, BOTH | {"implementation": "scan"}),
    "gru": (F.gru, GRU, {}),
    "gru-segments": (F.gru, GRU, SEGMENTS),
    "gru-before": (F.gru, GRU, MASK | {"reset_after": False, "clip_cotangent": 0.1}),
    "gru-activation": (own_activation, (GRU, jnp.ones(())), {}),
    "lstm": (F.lstm, LSTM, BOTH | {"truncate": 2, "reverse": True}),
    "lstm-drawn": (F.lstm, LSTM, DRAWN),
    "lstm-drawn-scan": (F.lstm, LSTM, DRAWN | SEGMENTS | {"implementation": "scan"}),
    "lstm-projected": (F.lstm, PROJECTED, {"coupled_gates": True}),
    "min_gru-scan": (F.min_gru, MIN_GRU, BOTH | {"implementation": "scan"}),
    "recur": (custom_step, RNN, BOTH),
    "recur-segments": (custom_step, RNN, SEGMENTS | {"clip_cotangent": 0.1}),
    "bidirectional": (both_directions, LSTM, LENGTHS),
    "conv_lstm": (F.conv_lstm, FILM, BOTH),
}
# `test_distribution` has the others on meshes.
on_a_mesh = pytest.mark.parametrize(
    "name",
    ["gru-activation", "lstm", "lstm-drawn", "recur-segments"],
)


def prepare(name):
    """Return a function of parameters, input and masks, and its arguments."""
    run, params, options = CASES[name]
    shape = (BATCH, TIME, 4, FEATURES) if name == "conv_lstm" else (BATCH, TIME, 3)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    arrays = {n: v for n, v in options.items() if isinstance(v, np.ndarray)}
    static = {n: v for n, v in options.items() if n not in arrays}

    def outputs(params, x, arrays):
        return run(params, x, **static, **arrays)

    return outputs, (params, jnp.asarray(x), jax.tree.map(jnp.asarray, arrays))


def loss_of(outputs):
    def loss(*arguments):
        return sum(jnp.sum(a * a) for a in jax.tree.leaves(outputs(*arguments)))

    return loss


def value_and_grad(outputs):
    return jax.jit(jax.value_and_grad(loss_of(outputs), (0, 1)))


@functools.cache
def wanted_of(name):
    """Return the value and the gradients on one device, without a mesh."""
    outputs, arguments = prepare(name)
    return value_and_grad(outputs)(*arguments)


def assert_same(result, wanted):
    for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@on_a_mesh
def test_an_explicit_mesh_keeps_the_batch_sharded(name):
    outputs, (params, x, arrays) = prepare(name)
    with jax.set_mesh(jax.make_mesh((1,), ("d",))):
        params, x = jax.device_put(params, PartitionSpec()), jax.device_put(x, SHARDED)
        for leaf in jax.tree.leaves(jax.eval_shape(outputs, params, x, arrays)):
            assert leaf.sharding.spec[0] == "d"
        value, (ct_params, ct_x) = value_and_grad(outputs)(params, x, arrays)
        assert jax.typeof(ct_x).sharding.spec[0] == "d"
        assert_same((value, (ct_params, ct_x)), wanted_of(name))


@on_a_mesh
def test_shard_map_sums_gradients(name):
    outputs, arguments = prepare(name)
    mesh = jax.make_mesh((1,), ("d",), axis_types=(AxisType.Auto,))
    loss = lambda *arguments: jax.lax.psum(loss_of(outputs)(*arguments), "d")
    gradients = jax.value_and_grad(loss, (0, 1))
    replicated = PartitionSpec()
    inputs = (replicated, SHARDED, SHARDED)
    shard = functools.partial(jax.shard_map, mesh=mesh, in_specs=inputs)
    inside = shard(gradients, out_specs=(replicated, (replicated, SHARDED)))
    outside = jax.value_and_grad(shard(loss, out_specs=replicated), (0, 1))
    assert_same(jax.jit(inside)(*arguments), wanted_of(name))
    jax.eval_shape(outside, *arguments)


@pytest.mark.parametrize("name", CASES)
def test_export_with_symbolic_time(name):
    outputs, (params, x, arrays) = prepare(name)
    # Segments are of two steps, and a symbolic number of segments leaves no rest.
    (size,) = jax.export.symbolic_shape("2*n")
    x, arrays = jax.tree.map(lambda a: a[:, :4] if a.ndim > 1 else a, (x, arrays))

    def with_symbol(a):
        has_time = a.ndim > 1 and a.shape[1] == x.shape[1]
        shape = (a.shape[0], size, *a.shape[2:]) if has_time else a.shape
        return jax.ShapeDtypeStruct(shape, a.dtype)

    shapes = jax.tree.map(with_symbol, (x, arrays))
    exported = jax.export.export(value_and_grad(outputs))(params, *shapes)
    if name in ("gru-segments", "lstm", "recur"):
        wanted = value_and_grad(outputs)(params, x, arrays)
        assert_same(exported.call(params, x, arrays), wanted)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("checkpoint", "sqrt", "no square root"),
        ("checkpoint", 3, "a multiple of 3"),
        ("unroll", 3, "a multiple of 3"),
    ],
)
def test_parts_of_a_symbolic_number_of_steps(option, value, words):
    (time,) = jax.export.symbolic_shape("t")
    x = jax.ShapeDtypeStruct((BATCH, time, FEATURES), jnp.float32)
    run = jax.jit(lambda x: F.gru(GRU, x, **{option: value}))
    with pytest.raises(ValueError, match=f"`{option}`.*{words}"):
        jax.export.export(run)(x)
