"""All of a recipe in one run, beside a loop in NumPy."""

import dataclasses

import numpy as np
import pytest
from flax import nnx

from jaxnets.data import Labelled
from jaxnets.training import Recipe, classification, regression, train


RECIPE = Recipe(
    steps=14,
    batch_size=5,
    learning_rate=0.05,
    optimizer="adamw",
    warmup=4,
    weight_decay=0.1,
    clip_norm=0.3,
    accumulate=2,
    average=0.8,
    label_smoothing=0.2,
    evaluate_every=7,
    checkpoint_every=5,
)


def batch(step):
    rng = np.random.default_rng(step)
    x = rng.normal(size=(RECIPE.batch_size, 3)).astype(np.float32)
    return Labelled(x, rng.integers(0, 4, RECIPE.batch_size))


def made(params):
    model = nnx.Linear(3, 4, rngs=nnx.Rngs(0))
    nnx.update(model, {name: np.float32(array) for name, array in params.items()})
    return model


def weights_of(found):
    return nnx.to_pure_dict(nnx.state(found.model, nnx.Param))


def start():
    rng = np.random.default_rng(20)
    return {"bias": rng.normal(size=4), "kernel": rng.normal(size=(3, 4))}


def cross_entropy(params, data, smoothing):
    """The loss and its gradient."""
    logits = data.x @ params["kernel"] + params["bias"]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    q = (1 - smoothing) * np.eye(4)[data.y] + smoothing / 4
    error = (p - q) / len(data.x)
    grads = {"kernel": data.x.T @ error, "bias": error.sum(0)}
    return -(q * np.log(p)).sum(1).mean(), grads


def rate(update):
    """Two updates of warm-up, then half a cosine over the other five."""
    if update < 2:
        return RECIPE.learning_rate * update / 2
    return RECIPE.learning_rate * (1 + np.cos(np.pi * (update - 2) / 5)) / 2


def expected():
    """The moving average of the weights after all steps."""
    w = start()
    average = dict(w)
    m, v, total = ({n: np.zeros_like(a) for n, a in w.items()} for _ in range(3))
    for step in range(RECIPE.steps):
        _, grads = cross_entropy(w, batch(step), RECIPE.label_smoothing)
        total = {n: total[n] + grads[n] / 2 for n in w}
        update, within = divmod(step, 2)
        if within:
            norm = np.sqrt(sum((g**2).sum() for g in total.values()))
            for n, g in total.items():
                g = g * min(1, RECIPE.clip_norm / norm)
                m[n] = 0.9 * m[n] + 0.1 * g
                v[n] = 0.999 * v[n] + 0.001 * g**2
                corrected = v[n] / (1 - 0.999 ** (update + 1))
                change = m[n] / (1 - 0.9 ** (update + 1))
                change = change / (np.sqrt(corrected) + 1e-8)
                decay = RECIPE.weight_decay * w[n] if w[n].ndim > 1 else 0
                w[n] = w[n] - rate(update) * (change + decay)
            total = {n: np.zeros_like(a) for n, a in w.items()}
        average = {n: 0.8 * average[n] + 0.2 * w[n] for n in w}
    return average


def test_the_weights_are_those_of_a_loop_in_numpy(tmp_path):
    """Also across a stop in the middle of an accumulation, and without smoothing in
    the evaluation."""
    seen = [0]
    options = {"evaluation": {"validation": batch(99)}, "say": lambda text: None}
    for last in (5, RECIPE.steps):
        found = train(
            made(start()),
            classification,
            batch,
            RECIPE,
            tmp_path,
            asked_to_stop=lambda last=last: seen[-1] >= last,
            on_call=lambda step, figures: seen.append(step),
            **options,
        )
    assert 5 in seen
    params, weights = expected(), weights_of(found)
    for name in ("kernel", "bias"):
        np.testing.assert_allclose(weights[name], params[name], rtol=2e-4)
    loss, _ = cross_entropy(params, batch(99), 0.0)
    np.testing.assert_allclose(found.metrics["validation_loss"], loss, rtol=1e-4)


def test_bfloat16_rounds_and_keeps_the_weights(tmp_path):
    recipe = dataclasses.replace(RECIPE, dtype="bfloat16")
    found = train(made(start()), classification, batch, recipe, tmp_path)
    kernel, wanted = weights_of(found)["kernel"], expected()["kernel"]
    assert kernel.dtype == np.float32
    error = np.abs(kernel - wanted).max()
    assert 1e-4 < error < 2e-2


def test_label_smoothing_needs_classes(tmp_path):
    with pytest.raises(ValueError, match=r"`label_smoothing` is 0\.2, which only"):
        train(made(start()), regression, batch, RECIPE, tmp_path)
