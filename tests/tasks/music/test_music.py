"""The task that writes tunes: its data, loss, floors, samples and files."""

import dataclasses
import math
import re
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from jaxnets.runs.exhibits import FileLink, Marked, Roll, Text
from jaxnets.tasks import SampleOptions, task_of
from jaxnets.tasks.music import files, generated, samples, training, tunes
from jaxnets.tasks.sampling import made_again
from jaxnets.training import load_trained, random_key, train


TASK: Any = task_of("music")
RECIPE = dataclasses.replace(
    TASK.recipe,
    steps=30,
    batch_size=8,
    learning_rate=2e-2,
    warmup=5,
    hidden=12,
    length=48,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("music")


@pytest.fixture(scope="module")
def trained(folder):
    """A small network after a short training on few tunes: (prepared, trained)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generated, "COUNT", 60)
        patch.setattr(training, "EVALUATED_LENGTH", 64)
        prepared: Any = TASK.prepare(RECIPE, None)
        result: Any = train(
            prepared.make(nnx.Rngs(random_key(0))),
            prepared.loss,
            prepared.batch,
            RECIPE,
            folder,
            evaluation=prepared.evaluation,
            about=prepared.about,
        )
        result.model.eval()
        yield prepared, result


def test_the_information_of_a_tune_is_that_of_its_choices():
    """Read back from its text, choice by choice."""
    for text, nats in generated.generated_tunes()[:50]:
        _, metre, _, key, *body = text.splitlines()
        bars = "".join(body).strip("|]").split("|")
        found = math.log(3) + math.log(4)
        place = generated.KEYS[key[2:]]
        for number, bar in enumerate(bars):
            notes = re.findall(r"([A-Ga-g])(\d?)", bar)
            rhythm = [int(length or 1) for _, length in notes]
            if number == 7:
                assert notes[0][0] == generated.NOTES[generated.KEYS[key[2:]]]
                break
            assert rhythm in generated.RHYTHMS[metre[2:]]
            found += math.log(4)
            for k, (letter, _) in enumerate(notes):
                new = generated.NOTES.index(letter)
                if number or k:
                    reachable = [s for s in (-2, -1, 1, 2) if 0 <= place + s <= 13]
                    assert new - place in reachable
                    found += math.log(len(reachable))
                place = new
        np.testing.assert_allclose(nats, found)


def test_the_memory_is_cleared_where_a_tune_begins(trained):
    """The loss of two tunes in one row is that of each in a row of its own."""
    prepared, result = trained
    alphabet = list(map(chr, prepared.about["alphabet"]))
    texts = ["X:1\nK:C\nCD|", "X:1\nK:G\nGA2|"]
    both = tunes.joined(texts, alphabet)
    log_p = []
    for text in texts:
        whole = "\n" + text + tunes.END
        codes = np.array([alphabet.index(c) for c in whole])
        logits = result.model(codes[None, :-1])[0]
        rows = np.asarray(jax.nn.log_softmax(logits))
        log_p += rows[np.arange(len(rows)), codes[1:]].tolist()
    row = tunes.windows(both, np.array([0]), len(both.begins))
    found, _ = training.loss(result.model, row)
    np.testing.assert_allclose(found, -np.mean(log_p), rtol=1e-5)
    assert row.resets.sum() == 2


def test_training_and_validation_share_no_tune(trained):
    prepared, _ = trained
    alphabet = list(map(chr, prepared.about["alphabet"]))
    decode = lambda codes: "".join(alphabet[code] for code in codes)
    held = decode(np.concatenate(prepared.evaluation["validation"].y)).split(tunes.END)
    batch = prepared.batch(0)
    np.testing.assert_array_equal(batch.x[:, 1:], batch.y[:, :-1])
    # The window begins a tune exactly where an empty line has ended.
    ends = (batch.x[:, :-1] == 0) & (batch.x[:, 1:] == 0)
    np.testing.assert_array_equal(ends, batch.resets[:, 1:])
    seen = "".join(decode(row) for step in range(40) for row in prepared.batch(step).y)
    assert len(held) > 5 and not any(text in seen for text in held[:-1])


def test_the_floors_are_above_the_best_loss_and_the_network_below_one(trained):
    prepared, result = trained
    floors = prepared.floors()
    y = prepared.evaluation["validation"].y
    assert floors["floor"] > floors["4_gram"] > floors["optimum"] > 0
    assert set(floors) == {"floor", "4_gram", "6_gram", "optimum"}
    assert result.metrics["validation_loss"] < floors["floor"] - 0.2
    entropy = -sum(
        share * math.log(share) for share in np.bincount(y.ravel()) / y.size if share
    )
    assert abs(floors["floor"] - entropy) < 0.1


def test_a_run_ends_with_tunes(trained, tmp_path, monkeypatch):
    prepared, result = trained
    monkeypatch.setattr(samples, "DRAWN", 3)
    outcome: Any = prepared.outcome(result.model, tmp_path)
    assert outcome.metrics["share_with_full_bars_of_data"] == 1
    assert 0 <= outcome.metrics["share_with_full_bars"] < 1
    kinds = [type(exhibit) for exhibit in outcome.exhibits]
    assert kinds == [Text, Marked, FileLink]
    marked, page = outcome.exhibits[1:]
    y = prepared.evaluation["validation"].y[0]
    assert "".join(marked.tokens) == "".join(
        chr(prepared.about["alphabet"][c]) for c in y
    )
    assert (tmp_path / page.file).stat().st_size < 1e6
    # A network that has learned the data by heart.
    good = prepared.about | {"longest": 9}
    text = generated.generated_tunes()[0].text
    monkeypatch.setattr(samples, "draw_texts", lambda *_: ["\n" + text + tunes.END] * 3)
    outcome = samples.outcome(
        result.model,
        tmp_path,
        about=good,
        evaluated=prepared.evaluation["validation"],
        texts=[text],
    )
    assert outcome.metrics["share_with_full_bars"] == 1
    shown, roll, link, *_ = outcome.exhibits
    assert isinstance(roll, Roll) and shown.text == text
    assert (tmp_path / link.file).read_bytes()[:4] == b"MThd"
    # In beats, which are quarter notes: each bar but the last has several notes.
    start, length, pitch = roll.notes[-1]
    assert start + length == 8 * length and pitch == roll.notes[0][2]


def test_the_files_of_samples(trained, tmp_path):
    prepared, result = trained
    prompt = "X:1\nM:2/4\nL:1/8\nK:C\nC4|"
    options = SampleOptions(count=2, length=12, prompt=prompt, out=tmp_path / "out")
    drawn = TASK.sampler.draw(result.model, prepared.about, options)
    assert all(text.startswith(prompt) for text in drawn)
    assert all(tunes.END not in text for text in drawn)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names[0] == "tune-1.abc" and {"tune-2.abc"} <= set(names)
    assert (tmp_path / "out" / "tune-1.abc").read_text() == drawn[0] + "\n"
    with pytest.raises(ValueError, match=r"`prompt` has '\?'"):
        TASK.sampler.draw(result.model, prepared.about, SampleOptions(prompt="X?"))


def test_a_checkpoint_has_what_its_network_needs(trained, folder):
    prepared, result = trained
    loaded, about = load_trained(made_again(TASK.sampler), RECIPE, folder)
    assert (loaded.step, about) == (RECIPE.steps, prepared.about)
    assert loaded.params_sha256 == result.params_sha256
    with pytest.raises(ValueError, match="holds no alphabet"):
        made_again(TASK.sampler)({})


GOOD = "% A comment\n\nX: 1\nT:One\nK:C\nCD|\n\n\nX:2\nK:G\n\nGA|\n"


def test_tunes_are_read_from_a_file_or_a_folder(tmp_path):
    (tmp_path / "b.abc").write_bytes(GOOD.replace("\n", "\r\n").encode())
    (tmp_path / "a.abc").write_bytes(b"\xef\xbb\xbfX:9\nK:D\nDE|")
    (tmp_path / "other.txt").write_text("?")
    expected = ["X: 1\nT:One\nK:C\nCD|", "X:2\nK:G\nGA|"]
    assert files.read_tunes(tmp_path / "b.abc") == expected
    assert files.read_tunes(tmp_path) == ["X:9\nK:D\nDE|", *expected]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "begins with '<html>'; wanted tunes in ABC notation"),
        (b"", "has no tune; wanted tunes in ABC"),
        (GOOD.encode()[:-10], "tune 2 has no line `K:`.* cut off"),
        (b"X:1\nK:C\n\xff", "is not a text in UTF-8"),
    ],
)
def test_other_files_are_refused_by_name(content, message, tmp_path):
    path = tmp_path / "tunes.abc"
    path.write_bytes(content)
    for given in (path, tmp_path):
        with pytest.raises(ValueError, match=message) as raised:
            files.read_tunes(given)
        assert str(path) in str(raised.value)


def test_a_sample_is_no_longer_than_can_be_drawn(tmp_path):
    path = tmp_path / "long.abc"
    path.write_text("".join(f"X:{i}\nK:C\n" + "CDEF|" * 2000 + "\n" for i in range(2)))
    assert TASK.prepare(RECIPE, path).about["longest"] == training.LONGEST


def test_other_folders_and_large_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="is a folder with 0 files"):
        files.read_tunes(tmp_path)
    (tmp_path / "a.abc").mkdir()
    with pytest.raises(ValueError, match=r"a\.abc is no file"):
        files.read_tunes(tmp_path)
    path = tmp_path / "b.abc"
    path.write_text(GOOD)
    with pytest.raises(ValueError, match="2 tunes of 29 characters; wanted at least 2"):
        training.prepare(RECIPE, path)
    (tmp_path / "one.abc").write_text("X:1\nK:C\nCD|")
    with pytest.raises(ValueError, match="1 tunes of 11 characters; wanted at least 2"):
        training.prepare(RECIPE, tmp_path / "one.abc")
    monkeypatch.setattr(files, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="has more than 10 bytes"):
        files.read_tunes(path)
    with pytest.raises(OSError):
        files.read_tunes(tmp_path / "c.abc")
