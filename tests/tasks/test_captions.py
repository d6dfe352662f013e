"""The captions task: its scenes, where its network looks, and what it writes."""

import dataclasses
import itertools
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import ndimage

from jaxnets.data import digits
from jaxnets.gradflow import measure_module
from jaxnets.runs.exhibits import Matrix
from jaxnets.tasks import captions, task_of
from jaxnets.tasks.captions import network, results, training
from jaxnets.tasks.captions import scenes as scenes_module
from jaxnets.tasks.captions.scenes import NAMES, WORDS, caption, scenes, varied
from jaxnets.tasks.decoder import contrast_loss
from tests.tasks.short_training import judged


TASK = task_of("captions")
PHRASE = re.compile(r"an? (\w+)")


@pytest.fixture(scope="module")
def drawn():
    return scenes(digits().test, 200, np.random.default_rng(1))


def test_the_captions_say_which_digits_are_where(drawn):
    test = digits().test
    known = {image.tobytes(): NAMES[label] for image, label in zip(*test, strict=True)}
    counts = set()
    for image, words, length, corners in zip(*drawn, strict=True):
        places = np.flatnonzero(corners[:, 0] >= 0)
        counts.add(len(places))
        ink = 0.0
        for place in places:
            top, left = corners[place]
            digit = image[top : top + 8, left : left + 8]
            assert digit.shape == (8, 8, 1)
            assert known[digit.tobytes()] == WORDS[words[place]]
            ink += digit.sum()
        # No digit covers another one, and there is nothing else.
        np.testing.assert_allclose(image.sum(), ink, rtol=1e-6)
        text = caption(words)
        assert len(text.split()) == length - 1 <= 13
        assert not words[length - 1 :].any()
        assert ("an eight" in text) == ("eight" in text)
        tops = iter(corners[places])
        rows = [
            [next(tops) for _ in PHRASE.findall(row)] for row in text.split(" above ")
        ]
        for row in rows:
            # From left to right without overlap, at about the same height.
            lefts = [left for _, left in row]
            assert lefts == sorted(lefts) and all(np.diff(lefts) >= 8)
            assert np.ptp([top for top, _ in row]) < 4
        for upper, lower in itertools.pairwise(rows):
            assert min(t for t, _ in lower) - max(t for t, _ in upper) >= 8
    assert counts == {1, 2, 3, 4}


def test_digits_vary_by_shapes_that_scipy_makes_too(monkeypatch):
    """Turned and scaled alone; and with no change at all, they are the same."""
    given = digits().test
    for name in ("TURN", "SCALE", "SLANT", "BEND"):
        monkeypatch.setattr(scenes_module, name, 0)
    same = varied(given, np.random.default_rng(0))
    np.testing.assert_allclose(same.x, given.x, atol=1e-6)
    monkeypatch.setattr(scenes_module, "TURN", 0.3)
    monkeypatch.setattr(scenes_module, "SCALE", 0.2)
    found = varied(given, np.random.default_rng(0)).x[..., 0]
    draw = np.random.default_rng(0)
    turn = draw.uniform(-0.3, 0.3, len(found))
    draw.uniform(size=len(found))
    scale = np.exp(draw.uniform(-0.2, 0.2, (2, len(found))))
    for number in range(5):
        cos, sin = np.cos(turn[number]), np.sin(turn[number])
        matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag(scale[:, number])
        offset: Any = 3.5 - matrix @ [3.5, 3.5]
        wanted = ndimage.affine_transform(
            given.x[number, ..., 0], matrix, offset, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(found[number], wanted, atol=1e-5)


def test_training_and_test_have_no_digit_in_common(monkeypatch):
    monkeypatch.setattr(training, "varied", lambda digits, draw: digits)
    prepared = TASK.prepare(dataclasses.replace(TASK.recipe, batch_size=40), None)

    def seen(found):
        return {
            image[top : top + 8, left : left + 8].tobytes()
            for image, corners in zip(found.image, found.corners, strict=True)
            for top, left in corners[corners[:, 0] >= 0]
        }

    parts = [seen(found) for found in prepared.evaluation.values()]
    parts.append(seen(prepared.batch(0)))
    sizes = [len(part) for part in parts]
    assert min(sizes) > 50 and len(set.union(*parts)) == sum(sizes)
    with pytest.raises(ValueError, match=r"so captions take no --data"):
        captions.prepare(TASK.recipe, Path("folder"))


def test_looking_at_a_digit_is_counted_by_the_centres_of_cells(drawn):
    """A network that looks at the middle of each digit always hits, elsewhere never."""
    cells = np.clip((drawn.corners + 4) // 4, 0, 5)
    flat = cells[..., 0] * 6 + cells[..., 1]
    assert results.looks_at_digit(np.eye(36)[flat], drawn).all()
    away = np.where(drawn.corners < 8, 5, 0)
    flat = away[..., 0] * 6 + away[..., 1]
    assert not results.looks_at_digit(np.eye(36)[flat], drawn).any()


def test_the_penalty_is_that_of_looking_beside_the_digits(drawn):
    on = np.asarray(network.on_digit(drawn.corners))
    names = drawn.corners[..., 0] >= 0
    assert on[names].any(axis=-1).all() and not on[~names].any()
    even = jnp.full(on.shape, 1 / 36)
    shares = on.sum(axis=-1)[names] / 36
    expected = -network.PENALTY_WEIGHT * np.log(shares).mean()
    np.testing.assert_allclose(network.astray(even, drawn), expected, rtol=1e-4)
    best = jnp.asarray(on / np.maximum(on.sum(axis=-1, keepdims=True), 1))
    assert abs(network.astray(best, drawn)) < 1e-4
    # Its gradient trains the network, and its value is no part of the loss.
    logits = np.zeros((*drawn.targets.shape, len(WORDS)), np.float32)

    def loss(weights, penalty):
        model = SimpleNamespace(attentive=lambda _: (logits, weights), without=None)
        return contrast_loss(model, drawn, penalty=penalty)[0]

    value, slope = jax.value_and_grad(loss)(even, network.astray)
    np.testing.assert_allclose(value, np.log(len(WORDS)), rtol=1e-5)
    expected = jax.grad(network.astray)(even, drawn)
    np.testing.assert_array_equal(slope, expected)
    assert (np.asarray(slope)[on] < 0).all() and not np.asarray(slope)[~on].any()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small network that was trained on scenes of a few images, and its task."""
    patch = pytest.MonkeyPatch()
    patch.setattr(network, "CHANNELS", (8, 16, 32))
    patch.setattr(network, "HIDDEN", 32)
    patch.setattr(training, "EVALUATED", 100)
    patch.setattr(training, "COUNTED", 300)
    recipe = dataclasses.replace(
        TASK.recipe, steps=150, batch_size=32, learning_rate=0.01, warmup=10
    )
    yield judged(TASK, recipe, tmp_path_factory.mktemp("a"))
    patch.undo()


def test_a_small_network_ends_above_its_floor(trained):
    prepared, run, outcome = trained
    assert run.metrics["validation_loss"] < prepared.floors()["floor"] - 0.2
    found = outcome.metrics
    assert set(found) == {
        "test_exact",
        "test_exact_without_attention",
        "floor_exact_most_frequent",
        "attention_on_its_digit",
    }
    assert found["floor_exact_most_frequent"] < 0.1


def test_the_exhibits_show_a_scene_with_a_map_for_each_digit(trained):
    *maps, shares, table = trained[2].exhibits
    assert [type(exhibit) for exhibit in maps] == [Matrix] * 4
    picture, *weights = maps
    assert np.shape(picture.values) == (24, 24)
    for exhibit, name in zip(weights, PHRASE.findall(picture.caption), strict=True):
        assert f"“{name}”" in exhibit.title
        np.testing.assert_allclose(np.sum(exhibit.values), 1, rtol=1e-5)
    assert len(shares.text.splitlines()) == 5
    assert table.text.count("output:") == 8


def test_the_gradients_are_those_of_the_network_with_attention():
    prepared = TASK.prepare(dataclasses.replace(TASK.recipe, batch_size=2), None)
    assert prepared.measured is not None
    model = prepared.make(nnx.Rngs(0))
    network, loss = prepared.measured(model)
    flow = measure_module(loss, network, prepared.batch(0), has_aux=True)
    assert any("decoder" in name for name in flow.taps)
    assert not any("without" in name for name in flow.taps)
    expected, _ = prepared.loss(model, prepared.batch(0))
    np.testing.assert_allclose(flow.value, expected, rtol=1e-6)
