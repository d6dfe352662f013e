"""Depth: plain against residual networks, with and without BatchNorm.

The four families have the same convolutions, initialiser and seeds, at several depths.
The study measures how much of the gradient reaches the first block, before and during
training.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnets import gradflow, models, training
from jaxnets.gradflow import theory
from jaxnets.studies import datasets
from jaxnets.studies.arm import Arm, OnEpoch, Outcome, Recorder, log10, recorded_steps
from jaxnets.studies.depth.blocks import record_blocks
from jaxnets.studies.depth.hyper import HyperNet, record_gain
from jaxnets.studies.depth.recipe import flipped_and_shifted, make_optimizer
from jaxnets.studies.depth.settings import SCALES, DepthSettings
from jaxnets.studies.predictions import record_prediction
from jaxnets.studies.training_run import Trained, train


INITIALISER = (
    "All networks: kernels from LeCun's initialiser (normal, variance 1 / fan-in; "
    "Flax's default), biases zero, the same seeds for the plain and the residual "
    "network. Without BatchNorm each residual branch is multiplied by 1 / sqrt(number "
    "of blocks); otherwise the gradient of the residual network would grow, slowly but "
    "exponentially, with depth (Hayou et al. 2021)."
)
NOTES = (
    "Theory's lines are for wide ReLU layers. Without BatchNorm they take zero padding "
    "into account, with and without shortcuts. With BatchNorm they are for a large "
    "batch (Yang et al. 2019), where each layer of a plain network multiplies the "
    "squared gradient by π/(π − 1) = 1.47.",
    "Theory's band, between dotted edges, says how far narrow layers scatter around "
    "the line (Hanin and Nica 2018). It holds for plain networks without BatchNorm. We "
    "know of no such law for shortcuts or BatchNorm, so their lines have no band.",
    "Hyper-connections (Zhu et al. 2024) mix four streams of features; the constraint "
    "of mHC (Xie et al. 2025) makes the mixings doubly stochastic. Their branches have "
    "pre-activation and start with the scale 1 / sqrt(number of blocks).",
    "At laptop scale Adam trains all networks for 160 updates. In as many, SGD with "
    "momentum and the best of five rates took the residual network of 32 layers "
    "without BatchNorm to a test accuracy of 34 %, although its gradient does not "
    "vanish.",
    "At accelerator scale with CIFAR-10 the recipe is that of He et al. (2015), whose "
    "residual networks with BatchNorm of 20, 32, 44, 56, 110 and 1202 layers reach a "
    "test error of 8.75, 7.51, 7.17, 6.97, 6.43 and 7.93 %. Test accuracies here are "
    "those after the last epoch; the best epoch on the validation data is a column of "
    "its own.",
)
PROBE_EXAMPLES = 64
LAYERS_A_BLOCK, WINDOW = 2, (3, 3)


def arms(scale: str, dataset: str) -> list[Arm]:
    """Return the arms of the study: each family at each depth."""
    settings = SCALES[scale]
    where = {"scale": scale, "dataset": dataset}
    found = [
        Arm(
            "depth",
            f"{'residual' if residual else 'plain'}{'-bn' if norm else ''}-{depth}",
            f"{'residual' if residual else 'plain'}{' + BatchNorm' if norm else ''}",
            depth,
            {"residual": residual, "batch_norm": norm, "depth": depth, **where},
        )
        for depth in settings.depths
        for norm in (False, True)
        for residual in (False, True)
    ]
    for depth in settings.hyper:
        for name, constrained in (("hyper-connections", False), ("mHC", True)):
            own = {"residual": False, "batch_norm": False, "constrained": constrained}
            of = own | {"depth": depth, **where}
            found.append(Arm("depth", f"{name.lower()}-{depth}", name, depth, of))
    return found


def run(arm: Arm, seeds: Sequence[int], on_epoch: OnEpoch) -> Outcome:
    """Train the networks of `arm` for all seeds and record how their gradients flow."""
    settings = SCALES[arm.settings["scale"]]
    splits = datasets.first(datasets.load(arm.settings["dataset"]), settings.examples)
    batches = training.shuffled(splits.train, settings.batch_size)
    if settings.shift:
        batches = flipped_and_shifted(batches, settings.shift)
    updates = settings.epochs * (len(splits.train.x) // settings.batch_size)
    trained = train(
        lambda rngs: _network(arm, settings, splits.train.x.shape[-1], rngs),
        training.classification,
        make_optimizer(
            settings.optimizer,
            settings.learning_rate,
            updates=updates,
            falling=settings.falling,
            weight_decay=settings.weight_decay,
        ),
        batches,
        {"validation": splits.validation},
        test=splits.test,
        seeds=seeds,
        epochs=settings.epochs,
        on_epoch=on_epoch,
        watch=lambda taps, responses: {
            "norm": _by_block({name: tap.norm for name, tap in taps.items()}),
            "std": _by_block({name: tap.std for name, tap in responses.items()}),
        },
    )
    recorder = Recorder(arm, seeds)
    trained.record_curves(recorder)
    if trained.history is not None:
        watched = trained.history.reports.watched
        norms, stds = watched["norm"], watched["std"]
        places = _places(norms.shape[-1])
        per_epoch = trained.history.steps_per_epoch
        for step in recorded_steps(norms.shape[1], per_epoch):
            flow = log10(norms[:, step])
            recorder.profile("log10_gradient_norm", flow, step=step, places=places)
        recorder.profile("response_std", stds[:, 0], step=0, places=places)
        _record_theory(recorder, arm, settings, splits, log10(norms[:, 0]))
        if not trained.message:
            last = {"examples": PROBE_EXAMPLES, "step": norms.shape[1]}
            record_blocks(recorder, arm, trained, splits, **last)
            if "constrained" in arm.settings:
                images = splits.validation.x[:PROBE_EXAMPLES]
                record_gain(recorder, trained, images, norms.shape[1])
    _record_probes(recorder, arm, trained, splits)
    return trained.outcome(recorder)


def _network(arm: Arm, settings: DepthSettings, channels: int, rngs: nnx.Rngs):
    if "constrained" in arm.settings:
        return HyperNet(
            (arm.settings["depth"] - 2) // LAYERS_A_BLOCK,
            channels,
            10,
            width=settings.widths[0],
            constrained=arm.settings["constrained"],
            rngs=rngs,
        )
    network = models.ResNet if arm.settings["residual"] else models.PlainNet
    return network(
        arm.settings["depth"],
        channels,
        10,
        widths=settings.widths,
        batch_norm=arm.settings["batch_norm"],
        rngs=rngs,
    )


def _by_block(statistics: dict[str, jax.Array]) -> jax.Array:
    """Return the values of the stem and of all blocks in order: `(blocks + 1,)`."""
    ordered = [statistics[name] for name in sorted(statistics, key=_order)]
    return jnp.concatenate([jnp.atleast_1d(values) for values in ordered])


def _order(name: str) -> tuple[int, int]:
    """Return the sort key of a tap: the stem comes first, then stage and call count."""
    if name == "stem":
        return (0, 0)
    stage, _, call = name.removeprefix("stage").partition("/block")
    return (int(stage), int(call.removeprefix("#") or 1))


def _places(count: int) -> list[str]:
    return ["stem", *(f"block {number}" for number in range(1, count))]


def _record_theory(recorder, arm, settings, splits, measured) -> None:
    """Record the line that theory predicts, for the arms that theory covers."""
    # Theory covers plain and residual networks whose layers have one resolution.
    if len(settings.widths) > 1 or "constrained" in arm.settings:
        return
    places = _places(measured.shape[-1])
    blocks = len(places) - 1
    back = np.arange(blocks, -1, -1)
    spreads = []
    if arm.settings["batch_norm"]:
        profile = (
            theory.batch_norm_resnet_profile(blocks, layers=LAYERS_A_BLOCK)
            if arm.settings["residual"]
            else back * LAYERS_A_BLOCK * theory.batch_norm_slope()
        )
    else:
        size = splits.train.x.shape[1]
        weight_variance = theory.conv_border_rate((size, size), WINDOW)
        if arm.settings["residual"]:
            profile = theory.resnet_gradient_profile(
                blocks,
                weight_variance=weight_variance,
                layers=LAYERS_A_BLOCK,
                branch_scale=blocks**-0.5,
            )
        else:
            profile = back * LAYERS_A_BLOCK * theory.plain_relu_slope(weight_variance)
            spreads = [
                theory.finite_width_spread(
                    settings.widths * (LAYERS_A_BLOCK * passed),
                    window=math.prod(WINDOW),
                )
                for passed in back.tolist()
            ]
    record_prediction(recorder, profile, measured, places=places, spreads=spreads)


def _record_probes(recorder: Recorder, arm: Arm, trained: Trained, splits) -> None:
    """Record the correlation of gradients across inputs, and their path length."""
    batch = jax.tree.map(lambda array: array[:PROBE_EXAMPLES], splits.validation)

    def model_of(state):
        # Merged inside the differentiated function, since BatchNorm updates its
        # statistics there.
        return nnx.merge(trained.program.graphdef, state.params, state.rest, copy=True)

    def output(x, state):
        # The same output for all inputs: losses of different classes would differ.
        return jnp.sum(model_of(state)(x)[:, 0])

    def loss(x, state, gradient_scale):
        apply = lambda x: model_of(state)(x, gradient_scale)
        return training.classification(apply, batch._replace(x=x))[0]

    def probe(state):
        gradients = jax.grad(output)(batch.x, state)
        found = {"gradient_correlation": gradflow.gradient_correlation(gradients)}
        if arm.settings["residual"]:
            of_scale = lambda scale: jax.grad(loss)(batch.x, state, scale)
            found["path_length"] = gradflow.effective_path_length(of_scale)
        return found

    found = jax.jit(lambda states: jax.lax.map(probe, states))(trained.program.initial)
    for metric, values in found.items():
        recorder.scalar(metric, values, step=0)
