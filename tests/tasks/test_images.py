"""The task of images: what a run on the digits ends with."""

from typing import Any

import numpy as np

from jaxnets.data import Labelled
from jaxnets.tasks import images, task_of
from jaxnets.training import Recipe
from tests.tasks.short_training import trained


def test_it_ends_above_its_floor_with_a_page_to_draw_on(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "DEPTH", 6)
    monkeypatch.setattr(images, "WIDTHS", (8, 12))
    monkeypatch.setattr(images, "JUDGED", 250)
    prepared = task_of("images").prepare(Recipe(1, 64, 0.1), None)
    model = trained(prepared, steps=100, learning_rate=1e-2)
    assert prepared.outcome is not None
    outcome = prepared.outcome(model, tmp_path)
    exhibits: list[Any] = outcome.exhibits
    link, confusion = exhibits
    counts = np.array(confusion.values)
    test = prepared.evaluation["test"]
    np.testing.assert_array_equal(counts.sum(1), np.bincount(test.y))
    assert np.trace(counts) / counts.sum() > outcome.metrics["floor_accuracy"] > 0.8
    page = (tmp_path / link.file).read_text()
    assert '"blocks"' in page and '"examples"' in page


def test_the_nearest_mean():
    x = np.array([0.0, 0.2, 0.9, 1.3]).reshape(4, 1, 1, 1)
    found = images.nearest_means(Labelled(x, np.array([4, 4, 7, 7])), x + 0.45)
    np.testing.assert_array_equal(found, [4, 7, 7, 7])
