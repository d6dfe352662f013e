"""Faults that keep a part of the network from learning: detached and dead parts."""

import jax.numpy as jnp
from flax import nnx

from benchmarks.faults.case import IMAGES, POINTS, SERIES, classify, fault
from benchmarks.faults.nets import HE, Mlp, stop


points = (classify, POINTS)


class features_behind_a_stop_gradient(Mlp):
    def __call__(self, x):
        return self.head(stop(self.features(x)))


fault("detached", "body", "stop_gradient", *points)(features_behind_a_stop_gradient)


class one_frozen_layer(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(16, 24, rngs=rngs)
        self.middle = nnx.Linear(24, 24, use_bias=False, rngs=rngs)
        self.last = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.first(x))
        x = x @ stop(self.middle.kernel[...])
        return self.last(nnx.relu(x))


fault("detached", r"middle", "stop_gradient", *points)(one_frozen_layer)


class an_output_that_is_dropped(nnx.Module):
    def __init__(self, rngs):
        self.trunk = nnx.Linear(16, 24, rngs=rngs)
        self.side = nnx.Linear(24, 24, rngs=rngs)
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.trunk(x))
        self.side(x)
        return self.head(x)


fault("detached", "side", "use|call|loss", *points)(an_output_that_is_dropped)


class a_branch_that_is_detached(nnx.Module):
    def __init__(self, rngs):
        self.left = Mlp(rngs, 2, outputs=24)
        self.right = Mlp(rngs, 2, outputs=24)
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        return self.head(self.left(x) + stop(self.right(x)))


fault("detached", "right", "stop_gradient", *points)(a_branch_that_is_detached)


class argmax_between_two_parts(nnx.Module):
    def __init__(self, rngs):
        self.encoder = Mlp(rngs, 2, outputs=12)
        self.table = nnx.Embed(12, 24, rngs=rngs)
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.relu(self.table(jnp.argmax(self.encoder(x), -1))))


fault("detached", "encoder", "argmax|straight|softmax", *points)(
    argmax_between_two_parts
)


class rounding_in_the_path(Mlp):
    def __call__(self, x):
        return self.head(jnp.round(4 * self.features(x)) / 4)


fault("detached", "body", "round|straight", *points)(rounding_in_the_path)


class a_cast_to_whole_numbers(nnx.Module):
    def __init__(self, rngs):
        self.inlet = nnx.Linear(16, 24, kernel_init=HE, rngs=rngs)
        self.outlet = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.inlet(x)).astype(jnp.int32)
        return self.outlet(x.astype(jnp.float32))


fault("detached", "inlet", "integer|whole|straight", *points)(a_cast_to_whole_numbers)


class a_gate_by_a_comparison(nnx.Module):
    def __init__(self, rngs):
        self.gate = nnx.Linear(16, 24, rngs=rngs)
        self.value = nnx.Linear(16, 24, rngs=rngs)
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        gate = jnp.where(self.gate(x) > 0, 1.0, 0.0)
        return self.head(gate * nnx.gelu(self.value(x)))


fault("detached", "gate", "step|straight|sigmoid", *points)(a_gate_by_a_comparison)


class one_layer_called_instead_of_another(nnx.Module):
    def __init__(self, rngs):
        self.inlet = nnx.Linear(16, 24, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(24, 24, rngs=rngs) for _ in range(3)])
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.inlet(x))
        x = nnx.relu(self.layers[0](x))
        x = nnx.relu(self.layers[0](x))
        return self.head(nnx.relu(self.layers[2](x)))


fault("detached", "layers/1", "use|call", *points)(one_layer_called_instead_of_another)


class a_branch_times_zero(nnx.Module):
    def __init__(self, rngs):
        self.main = Mlp(rngs, 2)
        self.extra = Mlp(rngs, 2)

    def __call__(self, x):
        return self.main(x) + 0.0 * self.extra(x)


fault("detached", "extra", "", *points)(a_branch_times_zero)


class low_rank_with_two_zero_factors(nnx.Module):
    def __init__(self, rngs):
        del rngs
        zeros = jnp.zeros
        self.down = nnx.Param(zeros((24, 4)))
        self.up = nnx.Param(zeros((4, 8)))
        self.base = nnx.Linear(16, 24, rngs=nnx.Rngs(1))
        self.head = nnx.Linear(24, 8, rngs=nnx.Rngs(2))

    def __call__(self, x):
        x = nnx.relu(self.base(x))
        return self.head(x) + x @ self.down[...] @ self.up[...]


fault("detached", "down|up", "zero|random", *points)(low_rank_with_two_zero_factors)


class a_head_that_the_loss_leaves_out(nnx.Module):
    def __init__(self, rngs):
        self.trunk = Mlp(rngs, 2, outputs=24)
        self.classes = nnx.Linear(24, 8, rngs=rngs)
        self.boxes = nnx.Linear(24, 4, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.trunk(x))
        return self.classes(x), self.boxes(x)


def loss_of_the_classes_only(model, x, labels):
    return classify(lambda x: model(x)[0], x, labels)


fault("detached", "boxes", "loss|use", loss_of_the_classes_only, POINTS)(
    a_head_that_the_loss_leaves_out
)


class the_wrong_axis_of_a_softmax(nnx.Module):
    """Scores of one number for each example: their softmax is always one."""

    def __init__(self, rngs):
        self.score = nnx.Linear(6, 1, rngs=rngs)
        self.value = nnx.Linear(6, 24, rngs=rngs)
        self.head = nnx.Linear(24, 8, rngs=rngs)

    def __call__(self, x):
        weights = nnx.softmax(self.score(x), axis=-1)
        return self.head(nnx.relu((weights * self.value(x)).sum(1)))


fault("detached", "score", "", classify, SERIES)(the_wrong_axis_of_a_softmax)


def _shut(share):
    return lambda key, shape, dtype: jnp.where(
        jnp.arange(shape[0]) < int(share * shape[0]), -30.0, 0.1
    ).astype(dtype)


@fault("dead", r"body/1\b", "bias|leaky|rate|initialiser", *points)
def four_fifths_of_the_units_dead(rngs):
    return Mlp(rngs, 4, biases={1: _shut(0.85)})


@fault("dead vanishing", r"body/2\b", "bias|zero at every", *points)
def a_dead_layer(rngs):
    return Mlp(rngs, 4, biases={2: _shut(1.0)})


class a_dead_layer_beside_a_shortcut(nnx.Module):
    def __init__(self, rngs):
        self.inlet = nnx.Linear(16, 32, rngs=rngs)
        self.blocks = nnx.List(
            [
                Mlp(
                    rngs,
                    1,
                    inputs=32,
                    outputs=32,
                    biases={0: _shut(1.0)} if n == 3 else {},
                )
                for n in range(6)
            ]
        )
        self.norm = nnx.LayerNorm(32, rngs=rngs)
        self.head = nnx.Linear(32, 8, rngs=rngs)

    def __call__(self, x):
        x = self.inlet(x)
        for block in self.blocks:
            x = x + 0.3 * block(x)
        return self.head(self.norm(x))


fault("dead", r"blocks/3\b", "bias|leaky", *points)(a_dead_layer_beside_a_shortcut)


class dead_channels(nnx.Module):
    def __init__(self, rngs):
        self.conv1 = nnx.Conv(3, 16, (3, 3), kernel_init=HE, rngs=rngs)
        self.conv2 = nnx.Conv(16, 16, (3, 3), bias_init=_shut(0.9), rngs=rngs)
        self.head = nnx.Linear(16, 8, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.conv2(nnx.relu(self.conv1(x))))
        return self.head(x.mean((1, 2)))


fault("dead", "conv2", "bias|leaky", classify, IMAGES)(dead_channels)
