"""Error messages of the instruments: each names the argument and what is wanted."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import gradflow
from jaxnets.gradflow import theory
from jaxnets.runs.records import Record


# The functions that are called are unwrapped; the fixture is for those that they call.
pytestmark = pytest.mark.usefixtures("unchecked_annotations")


class Unchecked:
    """A package without the type checks of jaxtyping, which users may not enable."""

    def __init__(self, package):
        self._package = package

    def __getattr__(self, name):
        return inspect.unwrap(getattr(self._package, name))


G, TH = Unchecked(gradflow), Unchecked(theory)
KEY = jax.random.key(0)
H, XS, ONES = jnp.zeros(3), jnp.zeros((4, 3)), jnp.ones(3)
WORDS = np.array(["a", "b", "c"])
same = lambda x: x
decay = lambda h, x_t: (0.5 * h + x_t, None)
square = lambda w: jnp.sum(w**2)
FLOW = gradflow.measure(lambda w: jnp.sum(gradflow.tap(w, "t")), jnp.ones(2))
RECORD = Record("depth", "plain-8", "plain", 8.0, 0, 0, "loss", "", None, 0.5)
VARIANCES = {"weight_variance": 1.0, "bias_variance": 0.1}
HALF = np.full((3, 5), 0.5)


def adjoint(step: Any = decay, state: Any = H, xs: Any = XS, cotangent: Any = ONES):
    return G.log_adjoint_norms(step, state, xs, cotangent)


def parts(direct: Any = decay, **options):
    return G.adjoint_parts(decay, direct, H, XS, ONES, **options)


def spectrum(fun: Any = same, x: Any = ONES, rank: Any = 1, key: Any = KEY, **options):
    return G.jacobian_spectrum(fun, x, rank=rank, key=key, **options)


def module(loss: Any = lambda model: jnp.sum(model(jnp.ones(2))), **options):
    return G.measure_module(loss, nnx.Linear(2, 1, rngs=nnx.Rngs(0)), **options)


def records(flow: Any = FLOW, **options):
    return G.flow_records(flow, **options)


def judged(**changes):
    return G.verdicts([RECORD, RECORD._replace(**changes)])


def lstm(weight_variance=1.0, **gates):
    all_gates = dict.fromkeys("ifgoc", HALF) | gates
    return TH.lstm_gradient_profile(**all_gates, weight_variance=weight_variance)


def gru(**gates):
    all_gates = dict.fromkeys("rznh", HALF) | gates
    return TH.gru_gradient_profile(**all_gates, weight_variance=1.0)


# The call, the type of its error, and what the message says.
INSTRUMENTS = [
    (lambda: adjoint(3), TypeError, "`step` is 3; wanted a function `step"),
    (lambda: adjoint(lambda h, x: h), TypeError, "`step` returned a value of type"),
    (lambda: adjoint(lambda h, x: (h[:2], h)), ValueError, r"`step` returns .*\(2,\)"),
    (
        lambda: adjoint(lambda h, x: (h.astype(jnp.bfloat16), h)),
        TypeError,
        "`step` returns .* dtype bfloat16; wanted float32",
    ),
    (
        lambda: G.lyapunov_spectrum(lambda h, x: (h > 0, h), H, XS, count=1),
        TypeError,
        "`step` returns .* dtype bool; wanted float32",
    ),
    (lambda: adjoint(state=WORDS), TypeError, "`state` is an array of dtype <U1; want"),
    (lambda: adjoint(xs=["a"]), TypeError, r"`xs\[0\]` is of type str; wanted an arra"),
    (lambda: adjoint(xs=None), ValueError, "`xs` has the shapes None; wanted one or"),
    (lambda: adjoint(xs=(XS, XS[1:])), ValueError, "`xs` has .* the same leading time"),
    (lambda: adjoint(cotangent=jnp.ones(3, int)), TypeError, "`cotangent` .* int32; w"),
    (lambda: parts(None), TypeError, "`direct` is None; wanted a function"),
    (lambda: parts(lambda h, x: h), TypeError, "`direct` returned a value of type"),
    (lambda: parts(select="c"), TypeError, "`select` is 'c'; wanted None or a functio"),
    (lambda: spectrum("relu"), TypeError, "`fun` is 'relu'; wanted a differentiable"),
    (lambda: spectrum(x=WORDS), TypeError, "`x` is an array of dtype <U1; wanted an a"),
    (lambda: spectrum(lambda x: x > 0), ValueError, r"`fun\(x\)` has no floating-p"),
    (lambda: spectrum(x=ONES > 0), ValueError, "`x` has no floating-point values; w"),
    (lambda: spectrum(key=0), TypeError, "`key` is of type int; wanted one JAX random"),
    (lambda: spectrum(rank=2.5), TypeError, "`rank` is 2.5; wanted an int"),
    (lambda: spectrum(iterations=True), TypeError, "`iterations` is True; wanted an i"),
    (
        lambda: G.lyapunov_spectrum(decay, H, XS, count=9),
        ValueError,
        "`count` is 9; wanted 1 to 3: `state` has",
    ),
    (lambda: G.effective_path_length(3), TypeError, "`input_gradient` is 3; wanted a"),
    (lambda: G.gradient_correlation(ONES[0]), ValueError, r"`gradients` has shape \("),
    (lambda: G.gradient_correlation("abc"), TypeError, "`gradients` is of type str; w"),
    (lambda: G.gradient_correlation(XS[:, :0]), ValueError, "`gradients` has shape .*"),
    (lambda: G.gradient_noise_scale(WORDS), TypeError, "`gradients` is an array of dt"),
    (
        lambda: G.gradient_noise_scale(XS, batch_size=2.5),
        TypeError,
        "`batch_size` is 2.5; wanted an int",
    ),
    (lambda: G.update_ratios({"w": "a"}, {"w": ONES}), TypeError, r"`updates\['w'\]`"),
    (lambda: G.every(2.5), TypeError, "`steps` is 2.5; wanted an int"),
    (lambda: G.every(2)(0.5), TypeError, "`step` is of type float; wanted an int"),
    (lambda: G.log_spaced("3"), TypeError, "`per_decade` is '3'; wanted an int"),
    (lambda: G.saturation(ONES, "gelu"), ValueError, "`kind` is 'gelu'; wanted one of"),
    (lambda: G.saturation(ONES, jnp.tanh), TypeError, "`kind` is .*; wanted one of"),
    (lambda: G.saturation(XS[:0], "tanh"), ValueError, "`activations` has the shape ."),
    (lambda: G.dead_units(XS[:0]), ValueError, r"`activations` has the shape \(0, 3\)"),
    (lambda: G.dead_units(0.0), ValueError, r"`activations` has the shape \(\); wante"),
    (lambda: G.dead_units(None), TypeError, "`activations` is of type NoneType; wante"),
    (lambda: G.gate_timescales(WORDS), TypeError, "`gate` is an array of dtype <U1; w"),
    (lambda: G.measure(3, ONES), TypeError, "`loss` is 3; wanted a pure function"),
    (lambda: G.measure(square, "a"), TypeError, "`params` is of type str; wanted an a"),
    (lambda: G.measure(square, ONES, only=3), TypeError, "`only` is 3; wanted a patte"),
    (lambda: G.measure(square, ONES, has_aux=1), TypeError, "`has_aux` is 1; wanted T"),
    (
        lambda: G.measure(square, ONES, has_aux=True),
        TypeError,
        r"`loss` returned .*; wanted the pair `\(scalar, aux\)`",
    ),
    (lambda: G.measure(lambda w: (1.0, w), ONES), TypeError, "`loss` returned a .* tu"),
    (lambda: module(None), TypeError, "`loss` is None; wanted a function"),
    (lambda: module(has_aux=True), TypeError, "`loss` returned .*; wanted the pair"),
    (lambda: G.branch(ONES, ONES), ValueError, r"`branch_scale` has shape \(3,\); wan"),
    (lambda: G.branch(ONES, None), TypeError, "`branch_scale` is of type NoneType; wa"),
    (lambda: G.verdicts([1, 2]), TypeError, r"`records\[0\]` is of type int; wanted t"),
    (lambda: G.verdicts(RECORD), TypeError, "`records` is of type Record; wanted the"),
    (lambda: G.verdicts("records.csv"), TypeError, "`records` is of type str; wanted"),
    (lambda: judged(value="x"), TypeError, r"`records\[1\].value` is 'x'; wanted a nu"),
    (lambda: judged(position="a"), TypeError, r"`records\[1\].position` is 'a'; wante"),
    (lambda: records(tuple(FLOW)), TypeError, "`flow` is of type tuple; wanted what"),
    (lambda: jax.jit(records)(FLOW), TypeError, "`flow` is traced; wanted the numbers"),
    (lambda: records(FLOW._replace(value=H)), ValueError, r"`flow` has .* \(3,\); wan"),
    (lambda: records(name=None), TypeError, "`name` is None; wanted a string"),
    (lambda: records(seed="x"), TypeError, "`seed` is 'x'; wanted an int"),
    (lambda: records(step=-1), ValueError, "`step` is -1; wanted 0 or more"),
    (lambda: records(stacks=3), TypeError, "`stacks` is 3; wanted a pattern"),
    (lambda: records(metrics=["a"]), TypeError, "`metrics` is of type list; wanted a"),
    (
        lambda: records(metrics={"dead_share": "x"}),
        TypeError,
        r"`metrics\['dead_share'\]` is 'x'; wanted a number",
    ),
    (
        lambda: records(metrics={"dead_share": {"t": H}}),
        ValueError,
        r"`metrics\['dead_share'\]\['t'\]` has shape \(3,\); wanted \(\)",
    ),
]
THEORY = [
    (
        lambda: TH.chi_1("relu", **VARIANCES, q=1.0),
        TypeError,
        "`activation` is 'relu'; wante",
    ),
    (lambda: TH.chi_1(jnp.sum, **VARIANCES), ValueError, r"`activation` .* shape \(\)"),
    (
        lambda: TH.correlation_map(lambda x: None, 0.5, **VARIANCES, q=1.0),
        TypeError,
        "`activation` returned a value that is of type NoneType; wanted",
    ),
    (
        lambda: TH.length_map(jnp.tanh, "1", **VARIANCES),
        TypeError,
        "`q` is '1'; wanted a finite number of at least 0",
    ),
    (
        lambda: TH.fixed_point_length(lambda x: x * jnp.nan, **VARIANCES),
        ValueError,
        "`activation` with .* has no fixed point",
    ),
    (lambda: TH.depth_scale(ONES), TypeError, "`chi` is .*; wanted a finite number"),
    (lambda: TH.depth_scale(True), TypeError, "`chi` is True; wanted a finite number"),
    (lambda: TH.correlation_slope(jnp.tanh, "1", **VARIANCES), TypeError, "`c` is '1'"),
    (lambda: TH.rnn_slope(None), TypeError, "`gain` is None; wanted a finite number"),
    (lambda: TH.forget_gate_slope(np.nan), ValueError, "`bias` is nan; wanted a finit"),
    (lambda: TH.gate_slopes("1"), TypeError, "`bias` is '1'; wanted a finite number"),
    (
        lambda: TH.resnet_gradient_profile(2, weight_variance=2.0, branch_scale=np.inf),
        ValueError,
        "`branch_scale` is inf; wanted a finite number",
    ),
    (lambda: TH.batch_norm_resnet_profile(2.5), TypeError, "`blocks` is 2.5; wanted a"),
    (lambda: TH.residual_relu_slope(2.0, 1.5), TypeError, "`layers` is 1.5; wanted an"),
    (lambda: TH.residual_gradient_correlation("3"), TypeError, "`blocks` is '3'; want"),
    (lambda: TH.finite_width_spread(64), TypeError, "`widths` is 64; wanted a sequenc"),
    (lambda: TH.finite_width_spread([4.5]), TypeError, r"`widths\[0\]` is 4.5; wanted"),
    (lambda: TH.conv_border_rate((8.5, 8), (3, 3)), TypeError, r"`size\[0\]` is 8.5;"),
    (lambda: TH.conv_border_rate(8, 0), ValueError, "`window` is 0; wanted 1 or more"),
    (lambda: lstm(i=0.5), ValueError, r"shapes are `i` \(\), .*; wanted one shape"),
    (lambda: lstm(f=np.full((3, 5), "a")), TypeError, "`f` is an array of dtype <U1;"),
    (lambda: lstm(f=4 * HALF), ValueError, "`f` has values from 2 to 2; .* a sigmoid"),
    (lambda: gru(n=-4 * HALF), ValueError, "`n` has values from -2 to -2; .* a tanh"),
]


@pytest.mark.parametrize(("call", "error", "message"), INSTRUMENTS + THEORY)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_values_on_the_device_give_nan_instead_of_an_error():
    nan = jnp.array([[jnp.nan, 0.0], [1.0, 0.0]])
    for kind in ("tanh", "sigmoid", "relu"):
        assert np.isnan(jax.jit(gradflow.saturation, static_argnums=1)(nan, kind))
    assert np.isnan(jax.jit(gradflow.dead_units)(nan))
    # Values before the sigmoid instead of a gate; the last is a gate.
    gates = jnp.array([[-2.0, 3.0, 0.5]])
    unknown = np.isnan(jax.jit(gradflow.gate_timescales)(gates))
    np.testing.assert_array_equal(unknown, [True, True, False])


def test_a_loss_may_be_constant():
    flow = gradflow.measure(lambda w: 3.0, ONES)
    assert flow.value == 3.0
    assert not flow.grads.any()
