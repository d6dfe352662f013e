"""How the task is prepared: its batches, its floor, and what a run ends with."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets.runs.exhibits import Exhibit, FileLink, Strokes
from jaxnets.tasks.epochs import check_batch_size
from jaxnets.tasks.sketch.continuation import continued, write_page
from jaxnets.tasks.sketch.drawings import (
    Drawings,
    PointBatch,
    point_batch,
)
from jaxnets.tasks.sketch.files import read_drawings
from jaxnets.tasks.sketch.letters import drawn_letters, optimum
from jaxnets.tasks.sketch.network import Network, loss
from jaxnets.tasks.task import Outcome, Prepared
from jaxnets.training import Recipe, rows_of_step
from jaxnets.training.trainer.order import generator


# Points of a training sequence at most, and drawings that are evaluated.
LENGTH, EVALUATED = 64, 300
# Training drawings that the floor is computed from, so that it takes little memory.
COUNTED = 10_000
# Beginnings that are kept with the network, and the share of a drawing each has.
BEGINNINGS, SHARE = 8, 0.4
SHOWN, TEMPERATURES = 4, (0.2, 0.6, 1.0)
CAPTION = "The first strokes are from the validation data; the network drew the others."


def prepare(recipe: Recipe, data: Path | None) -> Prepared:
    """Load drawings, and draw each epoch in a new order.

    Args:
        recipe: Its seed and batch size decide the order.
        data: An archive of NumPy, as `read_drawings` takes it; None draws letters.

    Raises:
        ValueError: If the archive is not of that form, or has too few drawings.
        OSError: If it cannot be read.
    """
    splits = drawn_letters() if data is None else read_drawings(data)
    training = splits.train
    check_batch_size(recipe, len(training), "training drawings")
    length = min(LENGTH, int(np.diff(training.offsets).max()) + 1)

    def batch(step: int) -> PointBatch:
        rows = rows_of_step(recipe.seed, step, len(training), recipe.batch_size)
        return point_batch(training, rows, length, generator(recipe.seed, step))

    drawn = _summary(training, splits.validation)
    evaluation = {
        "validation": _evaluated(splits.validation),
        "test": _evaluated(splits.test),
    }

    def floors() -> dict[str, float]:
        validation = evaluation["validation"]
        found = {"floor": one_gaussian_loss(training, validation)}
        best = {"optimum": optimum(validation.lengths)} if data is None else {}
        return found | best

    return Prepared(
        functools.partial(Network, scale=drawn["scale"]),
        loss,
        batch,
        evaluation,
        {"drawings": drawn},
        floors,
        functools.partial(outcome, drawings=drawn),
    )


def _evaluated(drawings: Drawings) -> PointBatch:
    count = min(len(drawings), EVALUATED)
    length = int(np.diff(drawings.offsets[: count + 1]).max()) + 1
    return point_batch(drawings, np.arange(count), length, generator(0, 0))


def _summary(training: Drawings, validation: Drawings) -> dict[str, Any]:
    """Return what a network and its page need to know of the drawings, in pixels."""
    drawings = _some(training, 1000)
    places = [np.cumsum(points[:, :2], axis=0) for points in drawings]
    sizes = [np.ptp(found, axis=0).max() for found in places]
    steps = [points[1:][points[:-1, 2] == 0, :2] for points in drawings]
    steps = np.linalg.norm(np.concatenate(steps), axis=1)
    scale = np.concatenate([points[1:, :2] for points in drawings]).std()
    if not scale > 0:
        raise ValueError("All points of the drawings are at one place; wanted strokes.")
    begun = [validation.drawing(row) for row in range(min(BEGINNINGS, len(validation)))]
    begun = [points[: max(int(SHARE * len(points)), 1)] for points in begun]
    return {
        "scale": float(scale),
        "step": float(np.median(steps)) if len(steps) else float(scale),
        "extent": float(2 * np.quantile(sizes, 0.95)),
        # Points of the longest drawings, but for a few.
        "length": int(np.quantile([len(points) for points in drawings], 0.95)),
        "beginnings": [points.astype(int).tolist() for points in begun],
    }


def _some(drawings: Drawings, most: int) -> list[np.ndarray]:
    """Return at most so many drawings, evenly spread over all."""
    rows = np.linspace(0, len(drawings) - 1, min(len(drawings), most)).astype(int)
    return [drawings.drawing(row) for row in rows.tolist()]


def one_gaussian_loss(training: Drawings, batch: PointBatch) -> float:
    """Return the loss of one normal distribution for all offsets.

    Of more than `COUNTED` training drawings it is fitted to some, evenly spread.
    The pen is lifted with the frequency that it has in training. The loss is in nats a
    point for a density over pixels.
    """
    points = np.concatenate([drawing[1:] for drawing in _some(training, COUNTED)])
    offsets, pen = points[:, :2].astype(float), points[:, 2]
    mean = offsets.mean(axis=0)
    # The random numbers that `point_batch` adds have the variance 1/12.
    covariance = np.cov(offsets.T, bias=True) + np.eye(2) / 12
    chance = (pen.sum() + 1) / (len(pen) + 2)
    counted = np.arange(1, batch.points.shape[1]) < batch.lengths[:, None]
    points = batch.points[:, 1:][counted].astype(float)
    distance = points[:, :2] - mean
    squares = np.einsum("ni,ij,nj->n", distance, np.linalg.inv(covariance), distance)
    _, log_volume = np.linalg.slogdet(2 * np.pi * covariance)
    lifted = -np.log(np.where(points[:, 2] == 1, chance, 1 - chance))
    return float((0.5 * (squares + log_volume) + lifted).mean())


def outcome(model: Any, folder: Path, *, drawings: dict[str, Any]) -> Outcome:
    """Continue beginnings at several temperatures, and write the page to draw on."""
    exhibits: list[Exhibit] = []
    given = [np.array(points, np.float32) for points in drawings["beginnings"][:SHOWN]]
    for temperature in TEMPERATURES:
        drawn = continued(model, given, drawings["length"], temperature, seed=0)
        title = f"Drawing {{}}, continued at temperature {temperature}"
        exhibits += [
            Strokes(title.format(number), CAPTION, *strokes)
            for number, strokes in enumerate(drawn, 1)
        ]
    page = write_page(model, drawings, folder)
    link = FileLink(
        "Draw with the network",
        "A page that opens from disk: begin a drawing, and the network continues it.",
        page.name,
    )
    return Outcome({}, [link, *exhibits])
