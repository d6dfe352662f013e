"""The task that continues drawings: its letters, loss, floor, files and network."""

import dataclasses
import functools
import io
import json
import xml.etree.ElementTree as ET
import zipfile
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from jaxnets.runs.exhibits import FileLink, Strokes
from jaxnets.tasks import SampleOptions, task_of
from jaxnets.tasks.sampling import made_again
from jaxnets.tasks.sketch import continuation, files, letters, training
from jaxnets.tasks.sketch.drawings import (
    Drawings,
    point_batch,
    points_of,
    strokes_of,
    without_end,
)
from jaxnets.tasks.sketch.network import Network, loss
from jaxnets.training import load_trained, train


multivariate_normal: Any = stats.multivariate_normal
TASK: Any = task_of("sketch")
RECIPE = dataclasses.replace(
    TASK.recipe, steps=40, batch_size=16, learning_rate=2e-2, warmup=5
)
HIDDEN, COMPONENTS = 12, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sketch")


@pytest.fixture(scope="module")
def trained(folder):
    """A small network after a short training on few letters: (prepared, trained)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(letters, "COUNTS", (64, 9, 7))
        patch.setattr(training, "LENGTH", 32)
        prepared = TASK.prepare(RECIPE, None)
    model = Network(
        nnx.Rngs(0),
        prepared.about["drawings"]["scale"],
        hidden=HIDDEN,
        components=COMPONENTS,
    )
    return prepared, train(
        model,
        prepared.loss,
        prepared.batch,
        RECIPE,
        folder,
        evaluation=prepared.evaluation,
        about=prepared.about,
    )


def test_a_letter_has_its_strokes_in_steps_of_a_pen():
    drawings = letters._drawings(np.random.default_rng(0), 200)
    assert drawings.points.dtype == np.int16 and len(drawings) == 200
    counts = {len(strokes_of(without_end(drawings.drawing(k)))) for k in range(200)}
    assert counts == {len(text.split(";")) for text in letters.LETTERS.values()}
    for k in range(200):
        np.testing.assert_array_equal(drawings.drawing(k)[-1], [0, 0, 1])
        assert len(without_end(drawings.drawing(k))) == len(drawings.drawing(k)) - 1
    down = np.concatenate(
        [drawings.drawing(k)[1:][drawings.drawing(k)[:-1, 2] == 0] for k in range(200)]
    )
    lengths = np.linalg.norm(down[:, :2], axis=1)
    # The hand adds about 1 pixel in each coordinate to steps of about 12.
    assert abs(np.median(lengths) - letters.STEP) < 1 and lengths.max() < 25


def test_the_optimum_is_the_entropy_of_the_hand(rng):
    """Of letters whose shape is known, so that only the hand is left."""
    lengths = np.array([4001, 2001])
    normal = multivariate_normal([0, 0], letters.DEVIATION**2 * np.eye(2))
    losses = -normal.logpdf(rng.normal(0, letters.DEVIATION, (5998, 2)))
    expected = np.concatenate([losses, [0, 0]]).mean()
    np.testing.assert_allclose(letters.optimum(lengths), expected, rtol=2e-2)


def test_strokes_and_points_are_inverse(rng):
    points = np.column_stack([rng.integers(-9, 9, (11, 2)), rng.integers(0, 2, 11)])
    points[0, :2], points[-1, 2] = 0, 1
    strokes = strokes_of(points, (5.0, -3.0))
    assert len(strokes) == points[:, 2].sum()
    np.testing.assert_allclose(points_of(strokes), points)


def test_a_batch_has_whole_drawings_or_parts(rng):
    offsets = np.array([0, 3, 12])
    points = np.column_stack([np.arange(24).reshape(12, 2), np.zeros(12)])
    drawings = Drawings(points.astype(np.int16), offsets)
    batch = point_batch(drawings, np.array([0, 1, 1, 1, 1]), 5, rng)
    # Each drawing has one point more, its end.
    np.testing.assert_array_equal(batch.lengths, [4, 5, 5, 5, 5])
    assert not batch.points[:, 0, :2].any() and not batch.points[0, 4:].any()
    rounded = np.rint(batch.points[:, 1:])
    np.testing.assert_array_equal(rounded[0, :3], [[2, 3, 0], [4, 5, 1], [0, 0, 1]])
    whole = np.concatenate([points[3:], [[0, 0, 1]]])
    whole[8, 2] = 1
    starts = ((rounded[1:, 0, 0] - whole[1, 0]) / 2).astype(int)
    assert len(set(starts)) > 1 and starts.min() >= 0 and starts.max() <= 5
    for start, row in zip(starts, rounded[1:], strict=True):
        np.testing.assert_array_equal(row, whole[1 + start : 5 + start])


def test_the_loss_is_that_of_mixtures_in_pixels(trained):
    """Point by point in NumPy, from the mixtures of the network."""
    prepared, result = trained
    batch, model = prepared.evaluation["test"], result.model
    short = type(batch)(batch.points[:3, :9], np.array([9, 4, 2], np.int32))
    mixtures = lambda model, batch: model(batch.points[:, :-1], batch.lengths - 1)[1]
    both = nnx.jit(lambda model, batch: (loss(model, batch), mixtures(model, batch)))
    (found, figures), outputs = both(model, short)
    outputs, scale = np.asarray(outputs, float), prepared.about["drawings"]["scale"]
    expected = []
    for row in range(3):
        for k in range(short.lengths[row] - 1):
            w, m1, m2, s1, s2, r = outputs[row, k, :-1].reshape(6, COMPONENTS)
            x, y, pen = short.points[row, k + 1]
            density = 0.0
            for j in range(COMPONENTS):
                deviations = np.exp([s1[j], s2[j]]) * scale
                covariance = np.outer(deviations, deviations)
                covariance[[0, 1], [1, 0]] *= np.tanh(r[j])
                normal = multivariate_normal([m1[j] * scale, m2[j] * scale], covariance)
                density += np.exp(w[j]) / np.exp(w).sum() * normal.pdf([x, y])
            lifted = 1 / (1 + np.exp(-outputs[row, k, -1]))
            expected.append(-np.log(density * (lifted if pen else 1 - lifted)))
    np.testing.assert_allclose(found, np.mean(expected), rtol=1e-4)
    scaled = found - 2 * np.log(scale)
    np.testing.assert_allclose(figures["scaled_loss"], scaled, rtol=1e-4, atol=1e-5)


def test_the_floor_is_one_normal_distribution(trained):
    prepared, result = trained
    drawings = letters._drawings(np.random.default_rng(1), 30)
    batch = point_batch(drawings, np.arange(5), 40, np.random.default_rng(2))
    offsets = np.concatenate([drawings.drawing(k)[1:] for k in range(30)]).astype(float)
    covariance = np.cov(offsets[:, :2].T, bias=True) + np.eye(2) / 12
    normal = multivariate_normal(offsets[:, :2].mean(0), covariance)
    pen = (offsets[:, 2].sum() + 1) / (len(offsets) + 2)
    losses = []
    for points, length in zip(batch.points, batch.lengths, strict=True):
        for x, y, lifted in points[1:length]:
            losses.append(-normal.logpdf([x, y]) - np.log(pen if lifted else 1 - pen))
    np.testing.assert_allclose(
        training.one_gaussian_loss(drawings, batch), np.mean(losses), rtol=1e-5
    )
    # Of many drawings some are counted, from the first to the last.
    some = training._some(drawings, 7)
    assert len(some) == 7 and np.array_equal(some[-1], drawings.drawing(29))
    floors = prepared.floors()
    assert 0 < floors["optimum"] < result.metrics["validation_loss"]
    assert result.metrics["validation_loss"] < floors["floor"] - 1


def test_a_run_ends_with_continuations_and_a_page(trained, tmp_path):
    prepared, result = trained
    outcome = prepared.outcome(result.model, tmp_path)
    link, *drawn = outcome.exhibits
    assert isinstance(link, FileLink) and (tmp_path / link.file).stat().st_size < 1e6
    assert len(drawn) == training.SHOWN * len(training.TEMPERATURES)
    for number, exhibit in enumerate(drawn):
        given = np.array(
            prepared.about["drawings"]["beginnings"][number % training.SHOWN]
        )
        assert isinstance(exhibit, Strokes)
        assert exhibit.strokes[: exhibit.given] == strokes_of(given)
        # The network begins where the data ends, or somewhere else with a lifted pen.
        at_the_end = (
            exhibit.strokes[exhibit.given][0] == exhibit.strokes[exhibit.given - 1][-1]
        )
        assert at_the_end == (given[-1, 2] == 0)
        count = sum(map(len, exhibit.strokes)) - len(given) - at_the_end
        assert 0 < count <= prepared.about["drawings"]["length"] - len(given)


def test_a_continuation_does_not_depend_on_how_it_is_cut(trained):
    """The state is carried: what is given at once or generated has the same outputs."""
    _, result = trained
    graphdef, state = nnx.split(result.model)
    draw = lambda given, lengths: continuation._generated(
        graphdef, state, given, np.array(lengths), jax.random.key(0), 0.0, count=4
    )
    given = np.zeros((2, 5, 3), np.float32)
    given[:, :3] = [[0, 0, 0], [9, 9, 0], [9, -9, 0]]
    points = draw(given, [3, 3])
    given[1, 3:] = points[1, :2]
    one, two = draw(given, [3, 5])
    np.testing.assert_allclose(one, points[0], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(two[:2], points[1, 2:], rtol=1e-4, atol=1e-3)


def test_samples_are_pictures(trained, tmp_path, monkeypatch):
    prepared, result = trained
    known = prepared.about["drawings"] | {"step": 10.0}
    about = json.loads(json.dumps({"drawings": known}))
    out, prompt = tmp_path / "out", "0,0 20,0; 5,5 5,15;"
    options = SampleOptions(count=2, prompt=prompt, out=out)
    [paths] = TASK.sampler.draw(result.model, about, options)
    names = ["sketch-1.svg", "sketch-2.svg", "sketch.html"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert paths.split() == [str(out / name) for name in names]
    pictures = [(out / name).read_text() for name in names]
    assert pictures[0] != pictures[1]
    lines = ET.fromstring(pictures[0]).findall("{*}polyline")
    places = [line.get("points") for line in lines]
    assert places[:2] == ["0.0,0.0 10.0,0.0 20.0,0.0", "5.0,5.0 5.0,15.0"]
    # The pen was lifted, so the network begins elsewhere; without a semicolon, there.
    assert not str(places[2]).startswith("5.0,15.0")
    goes_on = SampleOptions(prompt="0,0 20,0; 5,5 5,15")
    [picture] = TASK.sampler.draw(result.model, about, goes_on)
    third = ET.fromstring(picture).findall("{*}polyline")[2]
    assert str(third.get("points")).startswith("5.0,15.0")
    assert {line.get("stroke") for line in lines} == {"#888", "#06c"}
    [one] = TASK.sampler.draw(result.model, about, SampleOptions(length=1))
    given = np.array(known["beginnings"][0])
    pairs = sum(str(line.get("points")).count(",") for line in ET.fromstring(one))
    assert pairs - len(given) == (1 if given[-1, 2] else 2)


@pytest.mark.parametrize(
    "prompt", ["", "0,0;;", "0 0", "0,0 1", "0,nan", "0,1e9", "a,b"]
)
def test_other_prompts_are_refused(prompt, trained):
    prepared, result = trained
    with pytest.raises(ValueError, match=r"`prompt` is .* wanted the places"):
        TASK.sampler.draw(result.model, prepared.about, SampleOptions(prompt=prompt))


def test_a_checkpoint_has_what_its_network_needs(trained, folder, monkeypatch):
    prepared, result = trained
    small = functools.partial(Network, hidden=HIDDEN, components=COMPONENTS)
    monkeypatch.setattr(continuation, "Network", small)
    loaded, about = load_trained(made_again(TASK.sampler), RECIPE, folder)
    assert (loaded.step, about) == (RECIPE.steps, prepared.about)
    assert loaded.params_sha256 == result.params_sha256


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"drawings": "all"},
        {"drawings": {"beginnings": [[[0, 0, 0]]], "scale": float("nan")}},
    ],
)
def test_a_damaged_checkpoint_is_refused(about):
    with pytest.raises(ValueError, match="does not say in which scale"):
        made_again(TASK.sampler)(about)


def arrays(**changes):
    points = np.array([[0, 0, 0], [3, 4, 1], [0, 0, 0], [2, 2, 0], [1, 1, 1]], np.int16)
    found = {}
    for part in files.PARTS:
        found |= {f"{part}_points": points, f"{part}_offsets": np.array([0, 2, 5])}
    return found | changes


def write(path, **changes):
    np.savez(path, **arrays(**changes))
    return path


def test_an_archive_is_read(tmp_path):
    found = files.read_drawings(write(tmp_path / "some.npz"))
    assert [len(part) for part in found] == [2, 2, 2]
    np.testing.assert_array_equal(
        without_end(found.test.drawing(1)), [[0, 0, 0], [2, 2, 0], [1, 1, 1]]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_points": np.zeros((5, 2), int)}, r"`test_points` has shape \(5, 2\)"),
        ({"test_points": np.zeros((5, 3))}, "`test_points` has dtype float64"),
        (
            {"test_points": np.zeros((0, 3), int)},
            "`test_points` is empty, or an offset",
        ),
        ({"test_points": np.full((5, 3), -(2**63))}, "beyond those of int16"),
        ({"test_points": np.full((5, 3), 10**6)}, "an offset is beyond those of int16"),
        ({"test_points": np.full((5, 3), 2)}, "the pen in `test_points` is not always"),
        ({"test_points": np.array([None] * 5)}, "cannot be used: Object arrays"),
        ({"valid_offsets": np.array([0, 4])}, "`valid_offsets` does not rise from 0"),
        ({"valid_offsets": np.array([0, 4, 5])}, "by at least 2 points for each"),
        ({"valid_offsets": np.array([0, 5, 2, 5])}, "`valid_offsets` does not rise"),
        ({"valid_offsets": np.array([5])}, r"`valid_offsets` has shape \(1,\)"),
        ({"valid_offsets": np.array([0.0, 5])}, "`valid_offsets` has dtype float64"),
    ],
)
def test_other_arrays_are_refused_by_name(changes, message, tmp_path):
    path = write(tmp_path / "other.npz", **changes)
    with pytest.raises(ValueError, match=message) as raised:
        files.read_drawings(path)
    assert str(path) in str(raised.value) and "wanted" in str(raised.value).lower()


def changed(content, change):
    """Return an archive with another member `train_points.npy`."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(buffer, "w") as new,
    ):
        for name in old.namelist():
            member = old.read(name)
            new.writestr(name, change(member) if "train_points" in name else member)
    return buffer.getvalue()


def test_damaged_and_foreign_files_are_refused(tmp_path, monkeypatch):
    refused = lambda path, message: pytest.raises(ValueError, match=message)
    good = write(tmp_path / "good.npz")
    content, path = good.read_bytes(), tmp_path / "bad.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<i2", "fortran_order": False, "shape": (2**40, 3)}
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("train_points.npy", header.getvalue())
        archive.writestr("train_offsets.npy", b"")
    cases = {
        content[:-30]: "is not a zip file",
        b"": "is not a zip file",
        b"<html>": "is not a zip file",
        content.replace(
            b"\x03\x00\x04\x00\x01\x00", b"\x03\x00\x04\x00\x00\x00"
        ): "CRC",
        buffer.getvalue(): "cannot be used",
        changed(content, lambda member: b"?"): "`train_points` is no array of NumPy",
        changed(content, lambda member: member.replace(b"'<i2'", b"'<i2 ")): "cannot",
        # A version of zip archives that does not exist.
        content.replace(b"PK\x03\x04-", b"PK\x03\x04\xff").replace(
            b"PK\x01\x02-\x03-", b"PK\x01\x02-\x03\xff"
        ): "zip file version",
    }
    for data, message in cases.items():
        path.write_bytes(data)
        with refused(path, message) as raised:
            files.read_drawings(path)
        assert str(path) in str(raised.value)
    with refused(tmp_path, "is a folder; wanted an archive"):
        files.read_drawings(tmp_path)
    monkeypatch.setattr(files, "MOST_BYTES", 10)
    with refused(good, "bytes when unpacked; wanted at most 10"):
        files.read_drawings(good)
    monkeypatch.undo()
    monkeypatch.setattr(files, "MOST_POINTS", 2)
    with refused(good, "has 3 points; wanted at most 2"):
        files.read_drawings(good)
