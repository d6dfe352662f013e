"""`tap_activations`: names, kinds, and the same results as without it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType

from jaxnets.gradflow import measure, measure_module, tap
from jaxnets.gradflow.program import tap_activations, trace_structure
from tests.gradflow.program import networks
from tests.gradflow.program.networks import Between, loss


X = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2)
SERIES = jnp.linspace(-1.0, 1.0, 24).reshape(4, 3, 2)


pytestmark = pytest.mark.usefixtures("flax_promotes")


FUNCTIONS = {
    "celu": nnx.celu,
    "elu": nnx.elu,
    "gelu": nnx.gelu,
    "glu": lambda x: jnp.tile(nnx.glu(x), 2),
    "hard_sigmoid": nnx.hard_sigmoid,
    "hard_silu": nnx.hard_silu,
    "hard_tanh": nnx.hard_tanh,
    "leaky_relu": nnx.leaky_relu,
    "mish": jax.nn.mish,
    "relu": nnx.relu,
    "relu6": nnx.relu6,
    "selu": nnx.selu,
    "sigmoid": nnx.sigmoid,
    "silu": nnx.silu,
    "softmax": nnx.softmax,
    "softplus": nnx.softplus,
    "tanh": nnx.tanh,
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_plain_functions_are_found_by_their_kind(kind):
    model = Between(nnx.Rngs(0), FUNCTIONS[kind])
    structure = trace_structure(loss, model, X)
    assert structure.activations == {f"first/{kind}": kind}
    assert structure.chains == (("first", "second"),)


@pytest.mark.parametrize("kind", ["relu", "relu6"])
def test_functions_with_a_rule_are_found_under_coming_switches(kind, coming_switches):
    model = Between(nnx.Rngs(0), jax.checkpoint(FUNCTIONS[kind]))
    assert trace_structure(loss, model, X).activations == {f"first/{kind}": kind}


OTHERS = {
    "maximum with zero": (lambda x: jnp.maximum(x, 0), "relu"),
    "exact gelu": (lambda x: nnx.gelu(x, approximate=False), "gelu"),
    "inside jit": (jax.jit(lambda x: 2 * nnx.relu(x)), "relu"),
    "inside remat": (jax.checkpoint(lambda x: 2 * nnx.gelu(x)), "gelu"),
    "inside vmap": (jax.vmap(lambda x: 2 * nnx.softmax(x)), "softmax"),
    "inside shard_map": (
        jax.shard_map(
            lambda x: 2 * nnx.relu(x),
            mesh=jax.make_mesh((1,), ("d",), axis_types=(AxisType.Auto,)),
            in_specs=jax.P("d"),
            out_specs=jax.P("d"),
        ),
        "relu",
    ),
    "in a branch": (
        lambda x: jax.lax.cond(x[0, 0] > 0, nnx.relu, lambda x: x, x),
        "relu",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_functions_in_other_forms(case):
    function, kind = OTHERS[case]
    structure = trace_structure(loss, Between(nnx.Rngs(0), function), X)
    assert structure.activations == {f"first/{kind}": kind}


def test_an_activation_that_is_tapped_gets_no_second_tap():
    function = lambda x: tap(nnx.relu(x), "mine")
    structure = trace_structure(loss, Between(nnx.Rngs(0), function), X)
    assert structure.activations == {"mine": "relu"}


def test_functions_of_the_loss_itself_are_no_activations():
    hinge = lambda model, x: jnp.mean(jnp.maximum(0, 1 - model(x)))
    structure = trace_structure(hinge, networks.Plain(nnx.Rngs(0)), X)
    assert set(structure.activations) == {f"body/{n}/relu" for n in range(3)}


class Everything(nnx.Module):
    """Attention, BatchNorm with its statistics, dropout, a scan and a shared layer."""

    def __init__(self, rngs):
        self.attention = nnx.MultiHeadAttention(
            2, 2, decode=False, rngs=rngs, deterministic=True
        )
        self.norm = nnx.BatchNorm(2, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.shared = networks.linear(rngs)
        self.rnn = nnx.RNN(nnx.LSTMCell(2, 2, rngs=rngs))

    def __call__(self, x):
        x = self.norm(x + self.attention(x))
        x = nnx.relu(self.shared(self.dropout(x)))
        return self.rnn(nnx.gelu(self.shared(x)))


def test_the_loss_its_gradient_and_the_variables_are_the_same():
    with_aux = lambda model, x: (loss(model, x), {"x": x})
    graphdef, *states = nnx.split(Everything(nnx.Rngs(0)), nnx.RngState, ...)

    def measured(states, x):
        def run(loss):
            model = nnx.merge(graphdef, *states, copy=True)
            flow = measure_module(loss, model, x, has_aux=True)
            keys, others = nnx.split(model, nnx.RngKey, ...)[1:]
            keys = jax.tree.map(jax.random.key_data, keys)
            return flow, (keys, others)

        return run(with_aux), run(tap_activations(with_aux))

    @jax.jit  # without the statistics, which take long to compile
    def results(states, x):
        return [(flow[:3], variables) for flow, variables in measured(states, x)]

    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, *results(states, SERIES))
    (expected, _), (flow, _) = jax.eval_shape(measured, states, SERIES)
    new = set(flow.taps) - set(expected.taps)
    assert new >= {"attention/softmax", "shared/relu", "shared/gelu", "rnn/cell/tanh"}
    model = nnx.merge(graphdef, *states)
    structure = trace_structure(with_aux, model, SERIES, has_aux=True)
    assert {*structure.activations} == new
    assert flow.taps["rnn/cell/tanh"].norm.shape == (3,)


def test_without_measurement_the_loss_is_called():
    calls = []
    counted = tap_activations(lambda model, x: calls.append(type(model)))
    assert counted(networks.Plain(nnx.Rngs(0)), X) is None
    assert calls == [networks.Plain]


def test_keyword_arguments_may_be_changed():
    noisy = lambda model, x, rngs: loss(model, x + rngs.noise.uniform(x.shape))
    rngs = nnx.Rngs(noise=0)
    flow = jax.eval_shape(
        lambda x: measure_module(
            tap_activations(noisy),
            networks.Plain(nnx.Rngs(0)),
            x,
            rngs=nnx.clone(rngs),
        ),
        X,
    )
    assert "body/0/relu" in flow.taps


def test_pure_functions_of_arrays():
    function = lambda w: jnp.sum(nnx.relu(tap(w, "w")))
    flow = measure(tap_activations(function), jnp.array([-1.0, 1.0]))
    assert flow.responses["w/relu"].zero_fraction == 0.5
