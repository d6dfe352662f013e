"""The speech task: its loss and decoding by their definitions, files, and learning."""

import io
import itertools
import wave
import zipfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets.runs.exhibits import storage
from jaxnets.tasks import SampleOptions, task_of
from jaxnets.tasks.sampling import made_again
from jaxnets.tasks.speech import recordings, spectrograms, training, vowels
from jaxnets.tasks.speech.floors import Regression
from jaxnets.tasks.speech.network import Utterances, decode, word_loss
from jaxnets.tasks.speech.recordings import read_recordings
from jaxnets.tasks.speech.results import string_errors
from jaxnets.tasks.speech.search import search
from jaxnets.tasks.speech.spectrograms import changed, padded
from jaxnets.training import Recipe, random_key
from tests.tasks.short_training import trained


RECIPE = Recipe(steps=1, batch_size=8, learning_rate=0.1)


def collapsed(path):
    """Return a path of classes without repetitions and blanks."""
    return tuple(c for c, _ in itertools.groupby(path) if c)


def test_decoding_is_its_definition(rng):
    paths, frames = rng.integers(0, 3, (20, 9)), rng.integers(0, 10, 20)
    heard = decode(jax.nn.one_hot(paths, 3), frames, 4)
    for row, path, count in zip(np.asarray(heard), paths, frames, strict=True):
        expected = (*collapsed(path[:count]), 0, 0, 0, 0)[:4]
        assert tuple(row) == expected


def test_the_loss_sums_over_all_paths(rng):
    # Four frames of the network for eight of the sound; the second has three of them.
    logits = rng.normal(size=(2, 4, 3)).astype(np.float32)
    labels, lengths = [(1, 2), (2,)], np.array([8, 7])
    padded = np.array([[1, 2], [2, 0]], np.int32)
    batch = Utterances(np.zeros((2, 8, 1), np.float32), lengths, padded)
    loss, figures = word_loss(lambda x, lengths: jnp.asarray(logits), batch)
    losses, hits = [], []
    for row, words, count in zip(logits, labels, (4, 3), strict=True):
        chances = np.exp(row) / np.exp(row).sum(axis=1, keepdims=True)
        total = sum(
            np.prod(chances[range(count), path])
            for path in itertools.product(range(3), repeat=count)
            if collapsed(path) == words
        )
        losses.append(-np.log(total))
        hits.append(collapsed(row[:count].argmax(1)) == words)
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)
    assert float(figures["accuracy"]) == np.mean(hits)


def test_the_search_finds_the_words_of_the_largest_sum(rng):
    logits = rng.normal(size=(30, 5, 3)).astype(np.float32)
    logits[:, :, 0] += 0.5
    frames = rng.integers(1, 6, 30)
    # With a place for each string of up to five words nothing is left out.
    found = jax.jit(search, static_argnums=(2, 3))(logits, frames, 5, 63)
    likeliest, path = [], np.asarray(decode(logits, frames, 5))
    for row, count in zip(logits, frames, strict=True):
        chances, sums = np.exp(row) / np.exp(row).sum(axis=1, keepdims=True), {}
        for way in itertools.product(range(3), repeat=int(count)):
            words = collapsed(way)
            sums[words] = sums.get(words, 0) + np.prod(chances[range(count), way])
        best = max(sums, key=lambda words: sums[words])
        likeliest.append((*best, 0, 0, 0, 0, 0)[:5])
    np.testing.assert_array_equal(found, likeliest)
    assert (path != likeliest).any()
    few = jax.jit(search, static_argnums=(2, 3))(logits, frames, 5, 8)
    assert (few == found).all(axis=1).mean() > 0.9
    short = jax.jit(search, static_argnums=(2, 3))(logits, frames, 1, 8)
    assert short.shape == (30, 1)


def edits(one, other):
    """Return the fewest changes that make one tuple the other, by trying all."""
    if not one or not other:
        return len(one) + len(other)
    left_out = min(edits(one[1:], other), edits(one, other[1:])) + 1
    return min(left_out, edits(one[1:], other[1:]) + (one[0] != other[0]))


def test_the_errors_of_strings_are_the_fewest_changes(rng):
    said, heard = rng.integers(0, 3, (20, 4)), rng.integers(0, 3, (20, 5))
    words = lambda row: tuple(row[row > 0].tolist())
    errors = sum(edits(words(a), words(b)) for a, b in zip(said, heard, strict=True))
    found = string_errors(said, heard)
    assert found == errors / sum(len(words(row)) for row in said) > 0


def test_the_floor_of_strings_is_that_of_words_of_equal_length(rng):
    words = [
        ((rng.normal(size=(8, 40)) + word).astype(np.float32), word)
        for word in rng.integers(1, 4, 60).tolist()
    ]
    floor = Regression(words[:30])
    cut = [words[30:34], words[34:37]]
    strings = [
        (np.concatenate([x for x, _ in string]), [word for _, word in string])
        for string in cut
    ]
    single = padded([(x, [word]) for x, word in words[30:37]], 8, 1)
    assert floor.accuracy(padded(strings, 40, 5)) == floor.accuracy(single) > 0.5


def wav(samples=800, rate=8000, channels=1, width=2):
    file = io.BytesIO()
    with wave.open(file, "wb") as stream:
        stream.setparams((channels, width, rate, 0, "NONE", ""))
        stream.writeframes(bytes(range(1, 1 + width)) * (samples * channels))
    return file.getvalue()


# Files whose header says a rate of 0, and a chunk beyond the end.
RATE_ZERO = wav()[:24] + bytes(4) + wav()[28:]
ENDS_EARLY = wav()[:16] + b"\x86" + wav()[17:18] + b"\x4f" + wav()[19:100]
NAMES = [f"{word}_ann_{i}.wav" for word in ("no", "yes") for i in range(25)]


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(wav(800 + i))
    return tmp_path


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_folder_and_an_archive_are_read_alike(folder):
    files = {f"set/{name}": (folder / name).read_bytes() for name in NAMES}
    archive = zipped(folder / "words.zip", files | {"set/": b"", "set/README": b"x"})
    (rate, one), (other, two) = read_recordings(folder), read_recordings(archive)
    assert rate == other == 8000 and len(one) == len(two) == 50
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)
        assert a[:3] == b[:3] and (a.samples == np.float32(0x201 / 32768)).all()
    assert sum(recording.tested for recording in one) == 10
    # What its names say is not where it is written: nothing is.
    evil = zipped(folder / "evil.zip", {"../../no_ann_0.wav": wav()})
    before = set(folder.parent.rglob("*"))
    assert len(read_recordings(evil)[1]) == 1
    assert set(folder.parent.rglob("*")) == before


def test_what_macos_adds_is_passed_over(tmp_path):
    name = "no_ann_0.wav"
    files = {f"set/{name}": wav(), f"__MACOSX/set/._{name}": b"\0\5\x16\7"}
    assert len(read_recordings(zipped(tmp_path / "words.zip", files))[1]) == 1
    (tmp_path / "set").mkdir()
    for made, data in ((name, wav()), (f"._{name}", b"\0\5\x16\7")):
        (tmp_path / "set" / made).write_bytes(data)
    assert len(read_recordings(tmp_path / "set")[1]) == 1


def test_the_size_of_all_files_is_limited(folder, monkeypatch):
    monkeypatch.setattr(recordings, "MOST_BYTES_IN_ALL", 10_000)
    with pytest.raises(ValueError, match="have more than 10000 bytes together"):
        read_recordings(folder)


def test_folders_named_test_are_the_split(tmp_path):
    files = {"train/no_ann_0.wav": wav(), "test/no_bob_30.wav": wav()}
    _, found = read_recordings(zipped(tmp_path / "words.zip", files))
    assert {(r.speaker, r.tested) for r in found} == {("ann", False), ("bob", True)}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("no.wav", wav(), "no.wav: wanted a name `word_speaker_index.wav`"),
        ("no_a_99.wav", wav(rate=9000), "have 9000 Hz .*no_a_99.wav.* and 8000 Hz"),
        ("no_a_99.wav", b"MThd", "no_a_99.wav is not a wav file of uncompressed"),
        ("no_a_99.wav", b"", "no_a_99.wav is not a wav file of uncompressed"),
        ("no_a_99.wav", wav()[:-7], "no_a_99.wav is cut off: it has 1593 of 1600"),
        ("no_a_99.wav", wav(width=1), "no_a_99.wav has 8 bits a sample; wanted 16"),
        ("no_a_99.wav", wav(0), "no_a_99.wav lasts 0 seconds"),
        ("no_a_99.wav", wav(48000), "no_a_99.wav lasts 6 seconds"),
        ("no_a_99.wav", wav(rate=40), "no_a_99.wav has 40 samples a second; wanted"),
        ("no_a_99.wav", wav(rate=10**9), "no_a_99.wav has 1000000000 samples"),
        ("no_a_99.wav", RATE_ZERO, "no_a_99.wav has 0 samples a second"),
        ("no_a_99.wav", ENDS_EARLY, "no_a_99.wav is not a wav file of uncompressed"),
        ("no_a_99.wav", wav(2**20), "no_a_99.wav has more than 2000000 bytes"),
    ],
)
def test_other_files_are_refused_by_name(name, data, message, folder):
    (folder / name).write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_recordings(folder)
    if name != "no_a_99.wav" or data == wav(rate=9000):
        return
    # An archive may say anything of the size that it unpacks to.
    with pytest.raises(ValueError, match=message):
        read_recordings(zipped(folder / "words.zip", {name: data}))


def test_too_few_files_and_what_is_no_archive(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="has no wav files"):
        read_recordings(empty)
    archive = zipped(tmp_path / "words.zip", {name: wav() for name in NAMES})
    archive.write_bytes(archive.read_bytes()[:-900])
    with pytest.raises(ValueError, match=r"words\.zip is not a folder, and not"):
        read_recordings(archive)
    data = bytearray(zipped(archive, {NAMES[0]: wav()}).read_bytes())
    data[60] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(ValueError, match=r"words\.zip is not a folder"):
        read_recordings(archive)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr(NAMES[0], wav())
    data = bytearray(archive.read_bytes())
    data[60:70] = bytes(10)
    archive.write_bytes(data)
    with pytest.raises(ValueError, match=r"words\.zip is not a folder"):
        read_recordings(archive)
    with pytest.raises(ValueError, match="there are 36 training recordings"):
        training.prepare(Recipe(1, 64, 0.1), folder)
    for name in NAMES[:25]:
        (folder / name).rename(folder / name.replace("_ann_", "_bob_"))
    for name in NAMES[25:]:
        (folder / name).unlink()
    with pytest.raises(ValueError, match="1 words; wanted 2 to"):
        training.prepare(RECIPE, folder)


@pytest.fixture(scope="module")
def small():
    """Two words of a few voices, and the network that was trained to tell them."""
    patch = pytest.MonkeyPatch()
    patch.setattr(vowels, "WORDS", ("a", "i"))
    patch.setattr(vowels, "VOICES", 8)
    patch.setattr(vowels, "TESTED_VOICES", 3)
    patch.setattr(training, "FRAMES", 64)
    patch.setattr(training, "STRINGS", 4)
    prepared = task_of("speech").prepare(RECIPE, None)
    model = trained(prepared, steps=150, learning_rate=5e-3)
    yield prepared, model
    patch.undo()


def test_it_learns_and_shows_what_it_heard(small, tmp_path):
    prepared, model = small
    floors = prepared.floors()
    validation = prepared.evaluation["validation"]
    loss, figures = nnx.jit(word_loss)(model, validation)
    assert loss < floors["floor"] / 2 and figures["accuracy"] > 0.7
    outcome = prepared.outcome(model, tmp_path)
    assert 0.5 < outcome.metrics["floor_accuracy"] <= 1
    assert 0.7 < outcome.metrics["search_accuracy"] <= 1
    assert 0 <= outcome.metrics["floor_string_errors"] < 0.5
    strings = np.asarray(prepared.evaluation["strings"].labels)
    assert strings.shape == (4, 5) and set((strings > 0).sum(1)) <= {3, 4, 5}
    confusion, spectrogram, chances, told = outcome.exhibits
    counts = np.array(confusion.values)
    tested = np.asarray(prepared.evaluation["test"].labels)[:, 0]
    np.testing.assert_array_equal(counts.sum(1), np.bincount(tested)[1:])
    assert np.trace(counts) / counts.sum() > 0.7
    assert np.shape(spectrogram.values) == (40, len(spectrogram.columns))
    np.testing.assert_allclose(np.sum(chances.values, axis=0), 1, rtol=1e-5)
    assert told.text.startswith("said:  ") and told.text.count("heard:") == 4
    lines = [tuple(line.split()[1:]) for line in told.text.splitlines() if line]
    errors = sum(map(edits, lines[::2], lines[1::2]))
    said = sum(map(len, lines[::2]))
    np.testing.assert_allclose(outcome.metrics["string_errors"], errors / said)


def test_it_hears_a_wav_file_at_any_rate(small, tmp_path):
    prepared, model = small
    files = []
    for rate in (8000, 16000):
        times = np.arange(rate // 4) / rate
        sound = np.sin(2 * np.pi * 200 * times) + np.sin(2 * np.pi * 700 * times)
        files.append(tmp_path / f"{rate}.wav")
        with wave.open(str(files[-1]), "wb") as stream:
            stream.setparams((1, 2, rate, 0, "NONE", ""))
            stream.writeframes((sound * 8000).astype("<i2").tobytes())
    sampler: Any = task_of("speech").sampler
    one, two = (
        sampler.draw(model, prepared.about, SampleOptions(prompt=str(file)))
        for file in files
    )
    assert one == two and set(one[0].split()) <= {"a", "i"}
    with pytest.raises(ValueError, match="`prompt` is missing; wanted the path of a"):
        sampler.draw(model, prepared.about, SampleOptions())
    for about in ({}, {"words": [], "rate": 8000}, {"words": ["a"], "rate": "fast"}):
        with pytest.raises(ValueError, match="does not say which words"):
            made_again(sampler)(about)


def test_the_sampler_has_the_types_of_the_run(small):
    prepared, _ = small
    sampler: Any = task_of("speech").sampler
    made = prepared.make(nnx.Rngs(random_key(0))), made_again(sampler)(prepared.about)
    one, other = (nnx.state(model) for model in made)
    same = jax.tree.map(
        lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), one, other
    )
    assert all(jax.tree.leaves(same))


def test_as_many_words_as_are_taken_fit_on_a_page():
    assert training.MOST_WORDS * (training.MOST_WORDS + 1) <= storage.MOST_CELLS


def test_what_is_padded_changes_nothing(small, rng):
    _, model = small
    x = rng.normal(size=(1, 20, 40)).astype(np.float32)
    run = nnx.jit(model)
    short = run(x, jnp.array([20]))
    long = run(np.pad(x, ((0, 0), (0, 12), (0, 0))), jnp.array([20]))
    np.testing.assert_allclose(long[:, :10], short, rtol=1e-4, atol=1e-5)


def test_neither_loudness_nor_the_noise_of_the_room_matters(small, rng):
    _, model = small
    x = rng.uniform(-5, 0, (1, 20, 40)).astype(np.float32)
    x[0, 3, 7], x[0, 10:] = 1.0, -9.0
    noisy = x.copy()
    noisy[0, 10:] += rng.uniform(-3, 0.9, (10, 40))
    run = nnx.jit(model)
    quiet = run(x, jnp.array([20]))
    for same in (noisy, x + 2):
        np.testing.assert_allclose(run(same, jnp.array([20])), quiet, atol=1e-5)
    x[0, 12, 3] = -4.0
    assert np.abs(run(x, jnp.array([20])) - quiet).max() > 1e-3


def test_a_changed_spectrogram_keeps_its_bands_and_hides_a_part(rng, monkeypatch):
    monkeypatch.setattr(spectrograms, "DEVIATION", 0)
    spectrogram = np.tile(np.arange(40, dtype=np.float32), (50, 1))
    draws = [changed(spectrogram, rng) for _ in range(50)]
    assert {made.shape[1] for made in draws} == {40}
    lengths = [len(made) for made in draws]
    assert 40 <= min(lengths) < 45 and 55 < max(lengths) <= 63
    assert all(made.min() >= 0 and made.max() <= 39 for made in draws)
    assert np.array_equal(spectrogram[0], np.arange(40))


def test_another_microphone_adds_a_smooth_curve(rng, monkeypatch):
    spectrogram = rng.normal(size=(50, 40)).astype(np.float32)
    made = []
    for deviation in (0, 1):
        monkeypatch.setattr(spectrograms, "DEVIATION", deviation)
        made.append(changed(spectrogram, np.random.default_rng(3)))
    curves = made[1] - made[0]
    # The same in all frames; those that are hidden get the mean of the curve.
    curve = np.median(curves, axis=0)
    same = np.isclose(curves, curve, atol=1e-5) | np.isclose(
        curves, curves.mean(), atol=0.1
    )
    assert same.mean() > 0.9
    steps = np.abs(np.diff(curve[np.abs(curve - curves.mean()) > 0.1]))
    assert np.ptp(curve) > 0.5 and np.median(steps) < np.ptp(curve) / 10
