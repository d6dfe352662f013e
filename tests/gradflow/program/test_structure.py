"""`trace_structure` on networks of which the structure is known."""

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from jaxnets import nn
from jaxnets.gradflow import measure_module, tap
from jaxnets.gradflow.program import tap_activations, trace_structure
from tests.gradflow.program import networks
from tests.gradflow.program.networks import Between, Recurrent, linear, loss, through


X = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2)
SERIES = jnp.linspace(-1.0, 1.0, 24).reshape(4, 3, 2)


pytestmark = pytest.mark.usefixtures("flax_promotes")


def shapes_of_flow(loss, model, x):
    """What `measure_module` returns, with shapes in the place of arrays."""
    graphdef, state = nnx.split(model)
    measured = lambda state, x: measure_module(loss, nnx.merge(graphdef, state), x)
    return jax.eval_shape(measured, state, x)


def branches(*blocks):
    return [(f"{block}/first", f"{block}/second") for block in reversed(blocks)]


BLOCKS = [f"blocks/{number}" for number in range(3)]
TRUNK = ("stem", *BLOCKS, "head")
CHAINS = {
    "Plain": [("stem", "body/0", "body/1", "body/2", "head")],
    "Residual": [TRUNK, *branches(*BLOCKS)],
    "UNet": [("down/0", "up/1"), ("down/1", "up/0"), ("middle/0", "middle/1")],
    "Paths": [("a/0", "a/1", "a/2", "head"), ("b/0", "b/1")],
    "Conditioned": [TRUNK, *branches(*BLOCKS)],
    "Repeated": [("stem", "layer", "layer#2", "layer#3", "head")],
    "Twins": [("encoder",)],
    "Scanned": [("stem", "units", "head"), *branches("units")],
    "LowRank": [("first", "second"), ("a", "b")],
    "Wrapped": [("stem", "body/layers/0", "body/layers/1", "body/layers/2", "head")],
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_follow_the_data(name):
    model = getattr(networks, name)(nnx.Rngs(0))
    assert trace_structure(loss, model, X).chains == tuple(CHAINS[name])


def test_repeated_calls_are_known():
    structure = trace_structure(loss, networks.Repeated(nnx.Rngs(0)), X)
    taps = structure.repeated - {*structure.activations}
    assert taps == {"layer", "layer#2", "layer#3"}
    assert structure.axes == {}
    assert not trace_structure(loss, networks.Plain(nnx.Rngs(0)), X).repeated


def test_taps_of_one_name_at_different_depths_are_not_repeated():
    class Tapped(networks.Plain):
        def __call__(self, x):
            for layer in self.body:
                x = tap(layer(x), "h")
            return x

    structure = trace_structure(loss, Tapped(nnx.Rngs(0)), X)
    assert structure.chains == (("body/0", "body/1", "body/2"),)
    assert set(structure.axes) | structure.repeated == set()
    renamed = lambda model, x: loss(lambda x: through_layers(model, x), x)
    structure = trace_structure(renamed, networks.Plain(nnx.Rngs(0)), X)
    assert structure.chains == (("h", "h#2", "h#3"),)
    assert not structure.repeated


def through_layers(model, x):
    for layer in model.body:
        # Layers in a function of arrays have no taps of their own.
        x = tap(jnp.tanh(x @ layer.kernel[...]), "h")
    return x


def test_methods_are_wrappers_of_the_layers_in_them():
    class Autoencoder(networks.Plain):
        def encode(self, x):
            return nnx.relu(self.body[0](self.stem(x)))

        def decode(self, x):
            return self.head(self.body[1](x))

    both = lambda model, x: jnp.mean(model.decode(model.encode(x)) ** 2)
    structure = trace_structure(both, Autoencoder(nnx.Rngs(0)), X)
    assert structure.chains == (("stem", "body/0", "body/1", "head"),)
    assert structure.activations == {"encode": "relu"}


def test_an_embedding_that_is_the_head_too_has_two_places():
    class Tied(nnx.Module):
        def __init__(self, rngs):
            self.embed, self.layer = nnx.Embed(3, 2, rngs=rngs), networks.linear(rngs)

        def __call__(self, x):
            return self.embed.attend(self.layer(self.embed(x)))

    structure = trace_structure(loss, Tied(nnx.Rngs(0)), jnp.array([0, 1]))
    assert structure.chains == (("embed", "layer", "embed/attend"),)


@pytest.mark.parametrize("wrap", [lambda call: call, nnx.remat], ids=["plain", "remat"])
def test_a_scan_over_parameters_counts_layers(wrap):
    structure = trace_structure(loss, networks.Scanned(nnx.Rngs(0), wrap), X)
    taps = ["units/first", "units/first/relu", "units/second", "units"]
    assert structure.axes == dict.fromkeys(taps, "layers")


class Outputs(nnx.Module):
    """A layer without its final state."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, x):
        return self.layer(x)[1]


LAYERS = {
    "nnx.RNN": lambda rngs: nnx.RNN(nnx.GRUCell(2, 2, rngs=rngs)),
    "LSTM": lambda rngs: Outputs(nn.LSTM(2, 2, rngs=rngs)),
    "LSTM in place": lambda rngs: Outputs(
        nn.LSTM(2, 2, implementation="in_place", rngs=rngs)
    ),
    "MinGRU": lambda rngs: Outputs(nn.MinGRU(2, 2, rngs=rngs)),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_scan_over_data_counts_time(layer):
    model = Recurrent(nnx.Rngs(0), LAYERS[layer](nnx.Rngs(1)))
    structure = trace_structure(loss, model, SERIES)
    assert structure.chains == (("stem", "rnn", "head"),)
    assert set(structure.axes.values()) == {"time"}
    flow = shapes_of_flow(tap_activations(loss), model, SERIES)
    assert {n for n, stats in flow.taps.items() if stats.norm.ndim} == {*structure.axes}


def test_the_gates_of_our_layers_are_activations_and_get_no_taps():
    model = Recurrent(nnx.Rngs(0), LAYERS["LSTM"](nnx.Rngs(1)))
    gates = {"i": "sigmoid", "f": "sigmoid", "g": "tanh", "o": "sigmoid"}
    expected = {f"rnn/layer/lstm/{gate}": kind for gate, kind in gates.items()}
    assert trace_structure(loss, model, SERIES).activations == expected


def test_a_python_loop_over_time_is_time():
    structure = trace_structure(loss, networks.Unrolled(nnx.Rngs(0)), SERIES)
    main, *others = structure.chains
    assert main == ("stem", "head")
    assert ("cell", "cell#2", "cell#3") in others
    assert set(structure.axes.values()) == {"time"}
    assert structure.repeated == {*structure.axes}


class Decoder(nnx.Module):
    """A cell with a state of two arrays and an output in each step."""

    def __init__(self, rngs):
        self.cell, self.head = nnx.LSTMCell(2, 2, rngs=rngs), networks.linear(rngs)

    def __call__(self, x):
        carry, outputs = (jnp.zeros((4, 2)), jnp.zeros((4, 2))), []
        for x_t in x.swapaxes(0, 1):
            carry, y = self.cell(carry, x_t)
            outputs.append(self.head(y))
        return jnp.stack(outputs, axis=1)


def test_all_that_is_called_in_a_python_loop_over_time_is_time():
    structure = trace_structure(loss, Decoder(nnx.Rngs(0)), SERIES)
    bases = {name.partition("#")[0] for name in structure.axes}
    assert bases >= {"cell/hi", "cell/c", "cell/h", "cell/sigmoid", "head"}
    assert set(structure.axes.values()) == {"time"}
    assert {*structure.activations} <= {*structure.axes}


class Attention(nnx.Module):
    """One dropout for the weights and the output, as in nanoGPT."""

    def __init__(self, rngs):
        self.qkv, self.out = nnx.Linear(2, 6, rngs=rngs), linear(rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x):
        q, k, v = jnp.split(self.qkv(x), 3, axis=-1)
        weights = self.drop(jax.nn.softmax(q @ k.swapaxes(1, 2)))
        return self.drop(self.out(weights @ v))


class Activation(nnx.Module):
    """A recurrence of which only the activation is a module."""

    def __init__(self, rngs):
        self.w, self.act = nnx.Param(jnp.eye(2)), nnx.Dropout(0.0, rngs=rngs)

    def __call__(self, x):
        h = jnp.zeros((4, 2))
        for time in range(3):
            h = self.act(x[:, time] + h @ self.w[...])
        return h


@pytest.mark.parametrize(("model", "axes"), [(Attention, 0), (Activation, 3)])
def test_calls_without_parameters_are_a_loop_over_time_if_one_is_used_again(
    model, axes
):
    assert len(trace_structure(loss, model(nnx.Rngs(0)), SERIES).axes) == axes


def test_a_user_tap_in_a_python_loop_over_time_is_time():
    class Loop(networks.Between):
        def __call__(self, x):
            h = jnp.zeros((4, 2))
            for time in range(3):
                h = tap(nnx.tanh(h + self.first(x)[:, time]), "h")
            return self.second(h)

    structure = trace_structure(loss, Loop(nnx.Rngs(0), None), SERIES)
    assert {n for n, axis in structure.axes.items() if n[0] == "h"} == {
        "h",
        "h#2",
        "h#3",
    }


def test_vmapped_taps_have_an_axis_of_their_own():
    model = networks.Plain(nnx.Rngs(0))
    each = lambda model, x: jnp.mean(nnx.vmap(loss, in_axes=(None, 0))(model, x))
    structure = trace_structure(each, model, X)
    assert structure.chains[0] == CHAINS["Plain"][0]
    assert structure.axes["stem"] == "vmap"


@pytest.mark.parametrize("name", [n for n in CHAINS if n != "LowRank"])
def test_names_are_those_of_the_measurement(name):
    model = getattr(networks, name)(nnx.Rngs(0))
    structure = trace_structure(loss, model, X)
    names = {n for series in structure.chains for n in series} | {*structure.axes}
    flow = shapes_of_flow(tap_activations(loss), model, X)
    assert names | {*structure.activations} <= {*flow.taps}


BLOCKING = {
    "stop_gradient": ("stop_gradient", jax.lax.stop_gradient),
    "masked": (
        "stop_gradient",
        lambda x: jax.lax.stop_gradient(nnx.leaky_relu(x)),
    ),
    "argmax": (
        "integer",
        lambda x: jax.nn.one_hot(jnp.argmax(nnx.softmax(x), axis=-1), 2),
    ),
    "cast": ("integer", lambda x: x.astype(jnp.int32).astype(jnp.float32)),
    "round": ("step function", lambda x: jnp.round(nnx.softmax(x))),
    "comparison": ("step function", lambda x: (x > 0).astype(jnp.float32)),
    "dropped": ("unused", lambda x: jnp.ones((4, 2))),
}


@pytest.mark.parametrize("case", BLOCKING)
def test_blocked_parameters_have_a_reason_and_a_place(case):
    reason, function = BLOCKING[case]
    structure = trace_structure(loss, Between(nnx.Rngs(0), function), X)
    assert set(structure.blocked) == {"first/kernel", "first/bias"}
    assert {why.reason for why in structure.blocked.values()} == {reason}
    for why in structure.blocked.values():
        # A dropped output was last used in Flax, for which the model called it.
        file = "networks.py" if case in ("stop_gradient", "dropped") else __file__
        assert why.where.partition(":")[0] == file.rpartition("/")[2]


def test_a_stop_gradient_before_the_loss_makes_a_target():
    class Pair(nnx.Module):
        def __init__(self, rngs):
            self.online, self.target, self.head = (
                nnx.Linear(2, 2, rngs=rngs) for _ in range(3)
            )

    def loss(used, model, x):
        wanted = jax.lax.stop_gradient(model.target(x))
        wanted = model.head(wanted) if used else wanted
        return jnp.mean((model.online(x) - jnp.max(wanted)) ** 2)

    def reasons(used):
        structure = trace_structure(
            lambda *args: loss(used, *args), Pair(nnx.Rngs(0)), jnp.ones((4, 2))
        )
        return {path: why.reason for path, why in structure.blocked.items()}

    assert reasons(True)["target/kernel"] == "stop_gradient"
    assert reasons(False)["target/kernel"] == "target"


OPEN = {
    "straight through": lambda x: through(x, jnp.round(x)),
    "custom rule": lambda x: rounded(x),
    "masked": nnx.leaky_relu,
    "branches": lambda x: jax.lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x),
    "remat": jax.checkpoint(jnp.sin),
}


@jax.custom_vjp
def rounded(x):
    return jnp.round(x)


rounded.defvjp(lambda x: (jnp.round(x), None), lambda _, cotangent: (cotangent,))


@pytest.mark.parametrize("case", OPEN)
def test_open_paths_are_not_blocked(case):
    model = Between(nnx.Rngs(0), OPEN[case])
    structure = trace_structure(loss, model, X)
    assert structure.blocked == {}
    assert structure.chains == (("first", "second"),)


def test_a_carry_that_passes_on_another_one_is_not_blocked():
    def delayed(model, x):
        # The first carry gets the second one a step later.
        step = lambda carry, _: ((carry[1], model.second(model.first(x))), None)
        (value, _), _ = jax.lax.scan(step, (x, x), length=3)
        return jnp.mean(value)

    model = Between(nnx.Rngs(0), jnp.sin)
    assert trace_structure(delayed, model, X).blocked == {}


def test_branches_of_a_module_and_auxiliary_results():
    def chosen(model, x):
        y = nnx.cond(True, lambda m, x: m.first(x), lambda m, x: m.second(x), model, x)
        return jnp.mean(y), jnp.argmax(y)

    structure = trace_structure(chosen, Between(nnx.Rngs(0), None), X, has_aux=True)
    assert structure.blocked == {}


def test_a_loss_without_parameters():
    structure = trace_structure(lambda model, x: 1.0, networks.Plain(nnx.Rngs(0)), X)
    assert structure.chains == ()
    assert {why.reason for why in structure.blocked.values()} == {"unused"}


def test_a_model_that_is_no_module():
    with pytest.raises(TypeError, match="`model` is of type dict"):
        trace_structure(loss, {}, X)


class Squashed(nnx.Module):
    """A layer and what follows it."""

    def __init__(self, after):
        self.layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        self.after = after

    def __call__(self, x):
        return self.after(self.layer(x))


LABELS = jnp.array([0, 1, 1, 0])


def entropy(model, x):
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(model(x), LABELS))


def binary(model, x):
    truth = LABELS.astype(jnp.float32)
    return jnp.mean(optax.sigmoid_binary_cross_entropy(model(x)[:, 0], truth))


def of_shares(model, x):
    return -jnp.mean(jnp.log(model(x)[jnp.arange(4), LABELS]))


@pytest.mark.parametrize(
    ("loss", "after", "kinds"),
    [
        (entropy, nnx.softmax, ["softmax"]),
        (lambda m, x: -jnp.mean(nnx.log_softmax(m(x))[:, 0]), nnx.softmax, ["softmax"]),
        (binary, nnx.sigmoid, ["sigmoid"]),
        (entropy, nnx.log_softmax, []),
        (of_shares, nnx.softmax, []),
        # A softmax that weighs values, and a sigmoid that gates them.
        (entropy, lambda x: nnx.softmax(x) @ x.T[:, :2], []),
        (entropy, lambda x: nnx.sigmoid(x) * x, []),
    ],
)
def test_what_a_loss_squashes_twice(loss, after, kinds):
    structure = trace_structure(loss, Squashed(after), X)
    assert [found.kind for found in structure.squashed] == kinds


def by_hand(model, x):
    p = jnp.clip(model(x)[:, 0], 1e-7, 1 - 1e-7)
    return -jnp.mean(jnp.where(x[:, 0] > 0, jnp.log(p), jnp.log(1 - p)))


def highway(x):
    gate = nnx.sigmoid(x)
    return gate * nnx.tanh(x) + (1 - gate) * x


@pytest.mark.parametrize(
    ("loss", "after", "reasons"),
    [
        (by_hand, nnx.sigmoid, ["log"]),
        (lambda m, x: -jnp.mean(jnp.log(m(x)[:, 1] + 1e-9)), nnx.softmax, ["log"]),
        (lambda m, x: jnp.mean((m(x) - x[:, :2]) ** 2), nnx.sigmoid, []),
        # What multiplies labels, or is normalised, is no gate.
        (lambda m, x: jnp.mean(m(x) * x[:, :2]), nnx.sigmoid, []),
        (entropy, lambda x: nnx.standardize(nnx.sigmoid(x)), []),
        (entropy, highway, ["gate"]),
    ],
)
def test_what_may_be_flat(loss, after, reasons):
    structure = trace_structure(loss, Squashed(after), X)
    assert list(structure.may_be_flat.values()) == reasons
