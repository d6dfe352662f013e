"""What a trained network draws: continuations, pictures of them, and a page."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxnets.runs.files import write_text
from jaxnets.tasks.live.page import live_page
from jaxnets.tasks.live.weights import lstm_weights
from jaxnets.tasks.sketch.drawings import (
    STILL,
    Polylines,
    in_steps,
    points_of,
    strokes_of,
    without_end,
)
from jaxnets.tasks.sketch.network import Network
from jaxnets.tasks.task import SampleOptions
from jaxnets.training import random_key


PAGE = "sketch.html"
# The coordinates of a prompt are less than this many steps of the pen.
MOST_STEPS = 1000


def continued(
    model: Network,
    beginnings: Sequence[np.ndarray],
    length: int,
    temperature: float,
    seed: int,
) -> list[tuple[Polylines, int]]:
    """Return the strokes of drawings, and how many of them are those of the beginning.

    Args:
        model: The network.
        beginnings: Points `(T, 3)` of each drawing.
        length: Number of points of each with its beginning, if the network does not
            end it before. The network goes on where the beginning ends, if the pen is
            not lifted there.
        temperature: As in `jaxnets.functional.sample_mixture`.
        seed: Seed of the random numbers.
    """
    lengths = np.array([len(points) for points in beginnings], np.int32)
    given = np.zeros((len(lengths), lengths.max(), 3), np.float32)
    for row, points in zip(given, beginnings, strict=True):
        row[: len(points)] = points
    graphdef, state = nnx.split(model)
    count = max(length - int(lengths.min()), 1)
    points = _generated(
        graphdef, state, given, lengths, random_key(seed), temperature, count=count
    )
    found = []
    for begun, more in zip(beginnings, np.asarray(points), strict=True):
        strokes = strokes_of(begun)
        more = np.concatenate([begun[-1:], more[: max(length - len(begun), 1)]])
        drawn = strokes_of(without_end(more), strokes[-1][-1])
        found.append((strokes + (drawn[1:] if begun[-1, 2] else drawn), len(strokes)))
    return found


@functools.partial(jax.jit, static_argnames=("graphdef", "count"))
def _generated(graphdef, state, given, lengths, key, temperature, *, count):
    model = nnx.merge(graphdef, state)
    return model.generate(given, lengths, count, key=key, temperature=temperature)


def draw(model: Network, about: Mapping[str, Any], options: SampleOptions) -> list[str]:
    """Return continuations as pictures in SVG, or the files that they are in.

    Args:
        model: The trained network.
        about: What the checkpoint says of the drawings that it was trained on.
        options: The prompt has strokes in the form of SVG's `points`, with semicolons
            between them: "0,0 40,60 80,0; 20,30 60,30", in pixels, y downwards. The
            last stroke goes on, unless a semicolon ends it. Without a prompt, each
            sample continues a beginning of the validation data. The network adds
            `length` points, but no drawing gets longer than those of the data. `out` is
            a folder for the pictures and the page; then the text has their paths.

    Raises:
        ValueError: If the prompt is not of that form.
        OSError: If a file cannot be written.
    """
    known = _known(about)
    if options.prompt is not None:
        beginnings = [_given(options.prompt, float(known["step"]))]
    else:
        beginnings = [np.array(points, np.float32) for points in known["beginnings"]]
    given = [beginnings[k % len(beginnings)] for k in range(options.count)]
    length = min(int(known["length"]), min(map(len, given)) + options.length)
    drawn = continued(model, given, length, options.temperature, options.seed)
    pictures = [svg(strokes, begun) for strokes, begun in drawn]
    if options.out is None:
        return pictures
    options.out.mkdir(parents=True, exist_ok=True)
    paths = [options.out / f"sketch-{k}.svg" for k in range(1, len(pictures) + 1)]
    for path, picture in zip(paths, pictures, strict=True):
        write_text(path, picture + "\n")
    paths.append(write_page(model, known, options.out))
    return ["\n".join(map(str, paths))]


def made_again(rngs: nnx.Rngs, about: Mapping[str, Any]) -> Network:
    """Return a network for the weights of a checkpoint."""
    return Network(rngs, float(_known(about)["scale"]))


def write_page(model: Network, drawings: Mapping[str, Any], folder: Path) -> Path:
    """Write the page on which a person draws and the network continues.

    Args:
        model: The network.
        drawings: What is known of the drawings that it was trained on.
        folder: Where the page goes.
    """
    settings = {**drawings, "still": STILL}
    weights = lstm_weights(model.recurrent, model.output)
    path = folder / PAGE
    write_text(path, live_page("sketch", weights, settings))
    return path


def svg(strokes: Polylines, given: int) -> str:
    """Return a picture of strokes, of which the first `given` are grey.

    Example:
        >>> svg([[(0.0, 0.0), (8.0, 8.0)], [(8.0, 8.0)]], given=1).count("polyline")
        2
    """
    places = np.array([place for stroke in strokes for place in stroke])
    low, size = places.min(axis=0), np.ptp(places, axis=0)
    width = max(float(size.max()), 1.0) / 60
    x, y, w, h = *(low - 2 * width), *(size + 4 * width)
    lines = [
        f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in stroke)}" '
        f'stroke="{"#888" if number < given else "#06c"}"/>'
        for number, stroke in enumerate(strokes)
    ]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="{x:.1f} {y:.1f} {w:.1f} {h:.1f}" fill="none" '
        f'stroke-width="{width:.1f}" stroke-linecap="round" stroke-linejoin="round">'
        f"{''.join(lines)}</svg>"
    )


def _given(prompt: str, step: float) -> np.ndarray:
    """Return the points of a prompt, with others between them as the data has."""
    text = prompt.strip()
    wanted = (
        'wanted the places of each stroke, such as "0,0 40,60 80,0; 20,30 60,30" in '
        "pixels"
    )
    try:
        strokes = [
            [(float(x), float(y)) for x, y in (p.split(",") for p in part.split())]
            for part in text.removesuffix(";").split(";")
        ]
    except ValueError as error:
        raise ValueError(f"`prompt` is {prompt[:60]!r}; {wanted}.") from error
    numbers = np.array([number for stroke in strokes for p in stroke for number in p])
    if not all(strokes) or not (np.abs(numbers) < MOST_STEPS * step).all():
        raise ValueError(
            f"`prompt` is {prompt[:60]!r}, with an empty stroke, or a number that is "
            f"not finite or above {MOST_STEPS * step:.0f}; {wanted}."
        )
    points = points_of([in_steps(stroke, step) for stroke in strokes])
    points[-1, 2] = text.endswith(";")
    return points


def _known(about: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a checkpoint says of the drawings that the network was trained on."""
    found = about.get("drawings")
    if isinstance(found, Mapping) and found.get("beginnings"):
        numbers = [found.get(name) for name in ("scale", "step", "extent", "length")]
        if all(isinstance(n, int | float) and 0 < n < 1e9 for n in numbers):
            return found
    raise ValueError(
        "The checkpoint does not say in which scale its drawings are and how they "
        "begin, so it is damaged or not of this task. Train anew."
    )
