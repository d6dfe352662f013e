"""A loss that is not finite: its step, seed, layer, and the history before it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnets import models, nn
from jaxnets.data import Labelled
from jaxnets.tap import tap
from jaxnets.training import (
    NonFiniteLoss,
    compile_program,
    first_nonfinite_layer,
    fit,
    generated,
    regression,
    shuffled,
)


NEVER = 1000


class Counter(nnx.Variable):
    """A variable of a layer that is not a parameter."""


class Overflowing(nnx.Module):
    """A linear layer whose output is infinite from its call number `limit` on."""

    def __init__(self, rngs: nnx.Rngs):
        self.linear = nnx.Linear(2, 2, rngs=rngs)
        self.calls = Counter(jnp.zeros((), jnp.int32))
        self.limit = Counter(jnp.full((), NEVER))

    def __call__(self, x):
        y = self.linear(x)
        y = jnp.where(self.calls[...] >= self.limit[...], jnp.inf, y)
        self.calls[...] += 1
        return tap(y, "layer")


class InTurn(nnx.Module):
    """Two layers; the second overflows."""

    def __init__(self, rngs: nnx.Rngs, limit: int):
        self.first = Overflowing(rngs)
        self.second = Overflowing(rngs)
        self.second.limit[...] = jnp.asarray(limit)

    def __call__(self, x):
        return self.second(self.first(x))


class Stacked(nnx.Module):
    """A stack of four layers; the third, with index 2, overflows."""

    def __init__(self, rngs: nnx.Rngs, limit: int):
        self.stack = nn.Stack(Overflowing, 4, rngs=rngs)
        limits = jnp.full(4, NEVER).at[2].set(limit)
        nnx.update(self.stack, {"blocks": {"limit": limits}})

    def __call__(self, x):
        return self.stack(x)


def failure(make_model, limits, *, over_seeds="map", epochs=3):
    """Train until it fails: the network of seed n overflows at update `limits[n]`."""
    data = Labelled(np.ones((8, 2), np.float32), np.zeros((8, 2), np.float32))
    remaining = iter(limits)
    program = compile_program(
        lambda rngs: make_model(rngs, next(remaining)),
        regression,
        optax.sgd(0.1),
        shuffled(data, 2),
        seeds=range(len(limits)),
        over_seeds=over_seeds,
    )
    with pytest.raises(NonFiniteLoss) as caught:
        fit(program, epochs, {"test": data})
    return caught.value


@pytest.mark.parametrize("over_seeds", ["map", "vmap"])
def test_it_names_the_step_the_seed_and_the_layer(over_seeds):
    # There are four updates in an epoch. Seed 2 fails first, in the second epoch.
    error = failure(InTurn, (NEVER, 7, 6), over_seeds=over_seeds)
    assert (error.seed_index, error.step) == (2, 6)
    assert error.layer == "second/layer"
    message = str(error)
    assert "at step 6 (seed number 2). First layer that" in message
    assert "not finite: second/layer. Lower the learning rate" in message
    assert error.history is not None
    assert error.history.reports.loss.shape == (3, 4)
    assert np.isfinite(error.history.reports.loss).all()
    assert error.history.figures["test_loss"].shape == (3, 1)


def test_a_layer_inside_a_stack_has_its_number():
    error = failure(Stacked, (5,))
    assert (error.seed_index, error.step) == (0, 5)
    assert error.layer == "stack/blocks/layer, number 2 of 4"


def test_in_the_first_epoch_there_is_no_history():
    error = failure(InTurn, (0,))
    assert (error.step, error.history) == (0, None)


def test_a_time_step_has_its_number():
    """`h_t` is ten to the power of 10 t, so step 4 is the first to overflow float32."""

    def make(key, count):
        x = jnp.zeros((count, 6, 1)).at[:, 0].set(1.0)
        return Labelled(x, jnp.zeros((count, 1)))

    identity = lambda h: h
    program = compile_program(
        lambda rngs: models.ManyToOne(
            nn.RNN,
            1,
            1,
            1,
            activation=identity,
            input_init=nnx.initializers.ones,
            recurrent_init=nnx.initializers.constant(1e10),
            rngs=rngs,
        ),
        regression,
        optax.sgd(0.1),
        generated(make, 2, 3),
        seeds=(0,),
    )
    with pytest.raises(NonFiniteLoss, match="rnn/h, number 4 of 6") as caught:
        fit(program, 1, {})
    assert caught.value.step == 0


class InfiniteGradient(nnx.Module):
    """Flax's own layers, with a weight `scale` between them."""

    def __init__(self, rngs: nnx.Rngs):
        self.body = nnx.Linear(2, 2, rngs=rngs)
        self.scale = nnx.Param(jnp.ones(()))
        self.head = nnx.Linear(2, 2, rngs=rngs)

    def __call__(self, x):
        return self.head(self.body(x) * self.scale)


def sqrt_of_zero(model, batch):
    """Its value is finite and its derivative is NaN at the outputs."""
    return jnp.mean(jnp.sqrt((model(batch.x) * 0.0) ** 2)), {}


def sqrt_of_a_weight(model, batch):
    """Its derivative is infinite with respect to one weight only."""
    loss, figures = regression(model, batch)
    return loss + jnp.sqrt(model.scale[...]), figures


def logarithm(model, batch):
    """Only the loss itself is not finite."""
    return regression(model, batch)[0] + jnp.log(jnp.sum(batch.y)), {}


def at_start(**values):
    def make(rngs, *_):
        model = InfiniteGradient(rngs)
        for name, value in values.items():
            nnx.update(model, {name: jnp.full((), value)})
        return model

    return make


HUGE = optax.sgd(jnp.inf)
WHERE = {
    "backward": (at_start(), sqrt_of_zero, optax.sgd(0.1), "__call__"),
    "gradient": (at_start(scale=0.0), sqrt_of_a_weight, optax.sgd(0.1), "scale"),
    "update": (at_start(), regression, HUGE, "body/bias"),
    "loss": (at_start(), logarithm, optax.sgd(0.1), None),
    "forward": (at_start(scale=3e38), regression, optax.sgd(0.1), "head"),
    "weights": (at_start(scale=np.nan), regression, optax.sgd(0.1), "scale"),
    "inputs": (at_start(), regression, optax.sgd(0.1), None),
}
MESSAGES = {
    "backward": "The gradient is not finite at step 0 (seed number 0). The loss is "
    "finite, but the gradient at the output of __call__ is not.",
    "gradient": "First parameter whose gradient is not: scale.",
    "update": "First parameter whose update is not: body/bias.",
    "loss": "The outputs of all layers are finite, only the loss is not.",
}


@pytest.mark.parametrize("stage", WHERE)
def test_the_first_bad_number_of_a_step_is_named_in_that_step(stage):
    make, loss, optimizer, place = WHERE[stage]
    data = Labelled(np.full((2, 2), 1e3, np.float32), np.zeros((2, 2), np.float32))
    if stage == "inputs":
        data.y[1, 1] = np.nan
    program = compile_program(make, loss, optimizer, shuffled(data, 2), seeds=(0,))
    with pytest.raises(NonFiniteLoss) as caught:
        fit(program, 2, {})
    error = caught.value
    assert (error.step, error.stage, error.layer) == (0, stage, place)
    assert MESSAGES.get(stage, "") in str(error)


def test_only_the_loss_itself():
    def objective(w):
        return jnp.sum(tap(w, "w")) / 0.0, None

    assert first_nonfinite_layer(objective, jnp.ones(2)) is None
    error = NonFiniteLoss(0, 3, None, None)
    assert "of all layers are finite, only the loss is not." in str(error)


def test_the_first_layer_is_the_first_from_the_input_whatever_its_name():
    def objective(w):
        h = tap(jnp.exp(w), "z")
        return jnp.sum(tap(jnp.exp(h), "a")), None

    assert first_nonfinite_layer(objective, jnp.full(2, 100.0)) == "z"
    assert first_nonfinite_layer(objective, jnp.full(2, 10.0)) == "a"
    assert first_nonfinite_layer(jax.jit(objective), jnp.zeros(2)) is None
