"""The public names: their arguments, their docstrings, and what importing them costs.

The signatures are written out here a second time, so that no edit changes one unseen.
"""

import functools
import importlib
import inspect
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import functional as F
from jaxnets import nn


CELL = "activation=tanh"
GATED = f"{CELL}, gate_activation=sigmoid"
LSTM_CELL = f"{GATED}, output_activation=tanh, clip=None, coupled_gates=False"
SCAN = (
    "lengths=None, resets=None, reverse=False, time_major=False, unroll=1, "
    "checkpoint=None"
)
POOL = (
    "strides=None, padding='VALID', padding_mode='zeros', window_dilation=1, "
    "ceil_mode=False"
)
INIT = "input_init=variance_scaling, recurrent_init=orthogonal"
TO_HIDDEN = "in_features, hidden, *"

SIGNATURES = {
    "functional": [
        "conv(x, kernel, bias=None, *, strides=1, padding='SAME', "
        "padding_mode='zeros', input_dilation=1, kernel_dilation=1, "
        "feature_group_count=1, precision=None, preferred_element_type=None, "
        "implementation=None)",
        f"max_pool(x, window_shape, *, {POOL}, implementation=None)",
        f"sum_pool(x, window_shape, *, {POOL}, implementation=None)",
        f"avg_pool(x, window_shape, *, {POOL}, count_include_pad=True, divisor=None, "
        "implementation=None)",
        "global_max_pool(x, *, spatial_ndim=None, keepdims=False)",
        "global_avg_pool(x, *, spatial_ndim=None, keepdims=False)",
        "global_sum_pool(x, *, spatial_ndim=None, keepdims=False)",
        "RNNParams(w_xh, w_hh, b)",
        "GRUParams(w_xh, w_hh, b, b_hn=None)",
        "LSTMParams(w_xh, w_hh, b, peephole=None, w_hr=None)",
        "LSTMState(h, c)",
        f"init_rnn(key, {TO_HIDDEN}, {INIT}, dtype=float32)",
        f"init_gru(key, {TO_HIDDEN}, {INIT}, dtype=float32)",
        f"init_lstm(key, {TO_HIDDEN}, forget_bias=1.0, peephole=False, "
        f"projection=None, {INIT}, dtype=float32)",
        f"rnn_step(params, state, x_t, *, {CELL}, clip=None)",
        f"gru_step(params, state, x_t, *, {GATED}, clip=None, reset_after=True)",
        f"lstm_step(params, state, x_t, *, {LSTM_CELL})",
        f"rnn(params, x, state=None, *, {CELL}, clip=None, {SCAN})",
        f"gru(params, x, state=None, *, {GATED}, clip=None, reset_after=True, {SCAN})",
        f"lstm(params, x, state=None, *, {LSTM_CELL}, {SCAN})",
        f"recur(step, state, xs, *, {SCAN})",
    ],
    "gradflow": [
        "tap(x, name)",
        "scope(name)",
        "TapStats(norm, max_abs, zero_fraction, nonfinite_fraction)",
        "ResponseStats(mean, std, max_abs, zero_fraction, nonfinite_fraction)",
        "Flow(value, aux, grads, taps)",
        "measure(loss, params, *args, has_aux=False)",
        "responses(loss, params, *args, has_aux=False)",
        "measure_both_ways(loss, params, *args, has_aux=False)",
        "log_adjoint_norms(step, state, xs, cotangent)",
        "jacobian_spectrum(fun, x, *, rank, key, iterations=8)",
        "lyapunov_spectrum(step, state, xs, *, count)",
        "branch(residual, branch_scale)",
        "effective_path_length(input_gradient)",
        "gradient_correlation(gradients)",
        "gate_timescales(gate)",
        "saturation(activations, kind)",
        "dead_units(activations)",
        "Verdict(where, number, threshold, sentence, remedy, kind, study, low=None, "
        "high=None)",
        "verdicts(records)",
    ],
    "gradflow.theory": [
        "length_map(activation, q, *, weight_variance, bias_variance)",
        "fixed_point_length(activation, *, weight_variance, bias_variance)",
        "chi_1(activation, *, weight_variance, bias_variance, q=None)",
        "depth_scale(chi)",
        "rnn_slope(gain, input_variance=0.0, activation=tanh)",
        "forget_gate_slope(bias)",
        "plain_relu_slope(weight_variance)",
        "residual_relu_slope(weight_variance, layers=2)",
        "conv_border_fraction(size, window)",
        "conv_border_rate(size, window)",
    ],
    "nn": [
        "Conv(in_features, out_features, kernel_size, *, strides=1, padding='SAME', "
        "padding_mode='zeros', kernel_dilation=1, feature_group_count=1, "
        "use_bias=True, kernel_init=variance_scaling, bias_init=zeros, dtype=None, "
        "param_dtype=float32, rngs)",
        f"MaxPool(window_shape, *, {POOL})",
        f"SumPool(window_shape, *, {POOL})",
        f"AvgPool(window_shape, *, {POOL}, count_include_pad=True, divisor=None)",
        "GlobalMaxPool(*, spatial_ndim=None, keepdims=False)",
        "GlobalAvgPool(*, spatial_ndim=None, keepdims=False)",
        "GlobalSumPool(*, spatial_ndim=None, keepdims=False)",
        "Flatten()",
        f"RNN({TO_HIDDEN}, {CELL}, clip=None, {INIT}, param_dtype=float32, "
        "name='rnn', rngs)",
        f"GRU({TO_HIDDEN}, {GATED}, reset_after=True, clip=None, {INIT}, "
        "param_dtype=float32, name='gru', rngs)",
        f"LSTM({TO_HIDDEN}, {LSTM_CELL}, forget_bias=1.0, peephole=False, "
        f"projection=None, {INIT}, param_dtype=float32, name='lstm', rngs)",
        "ConvBranch(in_features, out_features, *, strides=1, batch_norm=True, "
        "kernel_init=variance_scaling, rngs)",
        "PlainBlock(in_features, out_features, **options)",
        "ResidualBlock(in_features, out_features, *, strides=1, branch_scale=1.0, "
        "**options)",
        "Stack(make_block, count, *, rngs)",
        "norm(features, batch_norm, *, rngs)",
    ],
    "models": [
        "ConvNet(image_shape, classes, *, widths=(16, 32), hidden=64, dropout=0.0, "
        "activation=relu, rngs)",
        "MLP(in_features, classes, *, widths, activation=relu, gain=1.0, dropout=0.0, "
        "rngs)",
        "PlainNet(depth, in_features, classes, *, widths=(16, 32, 64), "
        "batch_norm=True, kernel_init=variance_scaling, rngs)",
        "ResNet(depth, in_features, classes, *, widths=(16, 32, 64), "
        "batch_norm=True, kernel_init=variance_scaling, rngs)",
        "ManyToOne(layer, in_features, hidden, outputs, *, rngs, **options)",
        "CharacterModel(layer, vocabulary, hidden, *, rngs, **options)",
    ],
    "data": [
        "Labelled(x, y)",
        "Splits(train, validation, test)",
        "digits(*, seed=0)",
        "digits_by_pixel(*, seed=0)",
        "mnist(folder=None, *, download=False, seed=0)",
        "cifar10(folder=None, *, download=False, seed=0)",
        "adding_problem(key, count, length)",
        "copy_memory(key, count, lag, *, symbols=8, payload=10)",
        "epoch_batches(key, count, batch_size)",
    ],
    "training": [
        "classification(model, batch)",
        "regression(model, batch)",
        "TrainState(params, rest, opt_state, step)",
        "StepReport(loss, figures, watched)",
        "train_state(model, optimizer)",
        "make_objective(graphdef, loss)",
        "make_step(graphdef, loss, optimizer, *, watch=None)",
        "make_evaluation(graphdef, loss)",
        "Batches(draw, fetch)",
        "shuffled(data, batch_size)",
        "generated(make, steps, batch_size)",
        "random_key(seed)",
        "Program(graphdef, initial, draw, epoch, evaluate, replay, compile_seconds)",
        "compile_program(make_model, loss, optimizer, batches, *, seeds, "
        "over_seeds='map', watch=None)",
        "History(reports, figures, steps_per_epoch)",
        "NonFiniteLoss(seed_index, step, layer, history)",
        "fit(program, epochs, evaluation, *, data_seed=0, on_epoch=None)",
        "first_nonfinite_layer(objective, *arguments)",
    ],
}
# Types of functions: they have neither arguments nor a docstring.
ALIASES = {"training": {"Loss", "Watch"}}
# Their example is that of the function that returns them.
SHOWN_ELSEWHERE = {"History", "Program", "ResponseStats", "TapStats"}
NAMES = [
    (room, signature.partition("(")[0], signature)
    for room, signatures in SIGNATURES.items()
    for signature in signatures
]
every_name = pytest.mark.parametrize(
    ("room", "name", "signature"),
    NAMES,
    ids=[f"{room}.{name}" for room, name, _ in NAMES],
)


def public(room: str, name: str):
    return getattr(importlib.import_module(f"jaxnets.{room}"), name)


def parameters_of(thing) -> list[inspect.Parameter]:
    """What a caller writes between the parentheses, without annotations."""
    # The signature of an NNX module's class is that of Flax's metaclass.
    if isinstance(thing, type) and issubclass(thing, nnx.Module):
        if thing.__init__ is object.__init__:
            return []
        parameters = list(inspect.signature(thing.__init__).parameters.values())[1:]
    else:
        parameters = list(inspect.signature(thing).parameters.values())
    empty = inspect.Parameter.empty
    return [
        p.replace(
            annotation=empty,
            default=empty if p.default is empty else Shown(p.default),
        )
        for p in parameters
    ]


class Shown:
    """A default value, printed by its name where it is a function or a class."""

    def __init__(self, value):
        self.value = value

    def __repr__(self):
        if not callable(self.value):
            return repr(self.value)
        # An initialiser such as `orthogonal()` is a closure of the rule's name.
        name = getattr(self.value, "__qualname__", self.value.__name__)
        return name.partition(".")[0]


@every_name
def test_arguments_their_order_and_defaults(room, name, signature):
    actual = inspect.Signature(parameters_of(public(room, name)))
    assert f"{name}{actual}" == signature


@pytest.mark.parametrize("room", SIGNATURES)
def test_no_public_name_is_left_out(room):
    module = importlib.import_module(f"jaxnets.{room}")
    names = {
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(thing)
    }
    written = {name for named_room, name, _ in NAMES if named_room == room}
    assert names - ALIASES.get(room, set()) == written


@every_name
def test_docstring_starts_with_a_sentence_and_has_an_example(room, name, signature):
    first, *rest = (inspect.getdoc(public(room, name)) or "").split("\n")
    assert first.endswith("."), first
    assert first[0].isupper() or first[0] == "`", first
    assert not rest or rest[0] == "", "a blank line after the first"
    assert "Example:" in rest or name in SHOWN_ELSEWHERE, "no example"


@every_name
def test_docstring_names_every_argument(room, name, signature):
    thing = public(room, name)
    docstring = inspect.getdoc(thing) or ""
    first, _, rest = docstring.partition("\n")
    if re.search(r"Takes\s+the\s+(arguments|options)\s+of\s", rest):
        return
    for parameter in parameters_of(thing):
        written = str(parameter).partition("=")[0]
        described = f"\n    {written}: " in rest or f"`{written}`" in first
        assert described, f"{written} is not described"
    if not isinstance(thing, type) and not inspect.isgeneratorfunction(
        inspect.unwrap(thing)
    ):
        assert "\nReturns:\n" in rest, "what it returns is not described"


@pytest.mark.parametrize(
    "name", [name for room, name, _ in NAMES if room == "functional"]
)
def test_functions_name_their_source_or_what_differs(name):
    thing = public("functional", name)
    if not isinstance(thing, type):
        docstring = inspect.getdoc(thing) or ""
        others = ("Source: ", "Flax", "Keras", "PyTorch", "`jax.lax.scan`")
        assert any(other in docstring for other in others)


X = np.ones((2, 5, 3), np.float32)
CELLS = {
    "rnn": (F.rnn, F.rnn_step, F.init_rnn),
    "gru": (F.gru, F.gru_step, F.init_gru),
    "lstm": (F.lstm, F.lstm_step, F.init_lstm),
}


@pytest.mark.parametrize("name", CELLS)
def test_recurrences_return_the_state_and_all_outputs(name):
    run, step, init = CELLS[name]
    params = init(jax.random.key(0), 3, 4)
    start = jnp.zeros((2, 4))
    start = F.LSTMState(start, start) if name == "lstm" else start
    state, ys = run(params, X)
    assert ys.shape == (2, 5, 4)
    assert jax.tree.structure(state) == jax.tree.structure(start)
    # A step is the body of `lax.scan`; the user's own goes through `recur`.
    body = functools.partial(step, params)
    scanned = jax.lax.scan(body, start, jnp.swapaxes(X, 0, 1))
    for own in ((scanned[0], jnp.swapaxes(scanned[1], 0, 1)), F.recur(body, start, X)):
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-5), own, (state, ys)
        )


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
def test_layers_return_what_their_functions_return(layer):
    module = layer(3, 4, rngs=nnx.Rngs(0))
    state, ys = module(X)
    run = CELLS[layer.__name__.lower()][0]
    expected = run(module.params, X)
    jax.tree.map(np.testing.assert_array_equal, (state, ys), expected)


PLOTTING_AND_TRAINING = {"altair", "flax", "optax", "sklearn", "vl_convert"}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import jaxnets; dir(jaxnets)", PLOTTING_AND_TRAINING | {"jax", "numpy"}),
        ("import jaxnets.functional", PLOTTING_AND_TRAINING),
        ("import jaxnets.gradflow, jaxnets.data", PLOTTING_AND_TRAINING),
    ],
)
def test_importing_loads_nothing_heavy(statement, absent):
    program = f"{statement}\nimport sys\nprint(*sorted({absent} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert answer.stdout.split() == []
