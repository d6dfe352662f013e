"""The DNA task: its generated sequences, their best loss, and files it refuses."""

import dataclasses
import itertools
import math
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax

from jaxnets.data import Labelled
from jaxnets.tasks import task_of
from jaxnets.tasks.dna import motifs, network, positions, sequences
from jaxnets.tasks.dna.network import Network
from jaxnets.tasks.dna.results import base_effects, logo_heights
from jaxnets.training.trainer.recipe import training_loss
from tests.tasks.short_training import trained


RECIPE = task_of("dna").recipe


@pytest.fixture(scope="module")
def splits():
    return motifs.planted_motifs()


def test_the_generated_sequences_have_their_motifs_at_any_place(splits):
    x, y = (np.concatenate(parts) for parts in zip(*splits, strict=True))
    assert x.shape == (4000, 60, 4) and (x.sum(-1) == 1).all()
    shares = np.bincount(y) / len(y)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)
    hits = np.zeros((3, 2, 52))
    for motif, letters in enumerate(motifs.MOTIFS):
        kernel = np.eye(4)[[sequences.BASES.index(letter) for letter in letters]]
        windows = np.lib.stride_tricks.sliding_window_view(x, 9, axis=1)
        matches = np.einsum("btcw,wc->bt", windows, kernel)
        for label in range(3):
            hits[label, motif] = (matches[y == label] == 9).mean(0)
    # A whole motif has the probability 0.85^9 = 0.23, spread over the 52 places.
    for label in range(2):
        assert abs(hits[label, label].sum() - 0.85**9) < 0.04
        assert (hits[label, label] > 0).mean() > 0.9
    assert hits[2].sum() < 0.01


def test_the_optimum_is_bayes_rule_place_by_place(splits):
    x, y = np.asarray(splits.validation.x)[:40], np.asarray(splits.validation.y)[:40]
    losses = []
    for row, label in zip(x.argmax(-1), y, strict=True):
        likelihoods = [0.0, 0.0, 0.25**60]
        for motif, letters in enumerate(motifs.MOTIFS):
            for start in range(52):
                inside = 0.25**51
                for base, letter in zip(row[start:], letters, strict=False):
                    inside *= 0.85 if sequences.BASES[base] == letter else 0.05
                likelihoods[motif] += inside / 52
        losses.append(-math.log(likelihoods[label] / sum(likelihoods)))
    np.testing.assert_allclose(
        motifs.optimum(Labelled(x, y)), np.mean(losses), rtol=1e-6
    )


def test_the_floors_are_in_order():
    floors = task_of("dna").prepare(RECIPE, None).floors()
    assert floors["floor"] > floors["position_weights"] > floors["optimum"] > 0


def rows(count=60):
    """Sequences of two classes that differ at one place, and a letter of two bases."""
    heads = itertools.product("ACGT", repeat=3)
    bodies = ["".join(head) for head in itertools.islice(heads, count)]
    return [
        f"{'EI' if i % 2 else 'N'}, S{i},   {s}{'AC'[i % 2]}R"
        for i, s in enumerate(bodies)
    ]


def write(tmp_path, lines):
    path = tmp_path / "splice.data"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_file_is_read_without_repetitions(tmp_path):
    path = write(
        tmp_path, [*rows(), *rows(7), "", rows()[0].lower().replace("n,", "N,")]
    )
    names, splits = sequences.read_sequences(path)
    assert names == ["EI", "N"]
    x, y = (np.concatenate(parts) for parts in zip(*splits, strict=True))
    assert x.shape == (60, 5, 4) and len(splits.validation.y) == len(splits.test.y) == 6
    assert len(np.unique(x, axis=0)) == 60
    np.testing.assert_array_equal(x[:, 4], np.tile([0.5, 0, 0.5, 0], (60, 1)))
    np.testing.assert_array_equal(x[:, 3, 1], y == 0)  # C belongs to EI
    # The table of positions sees what the classes differ in.
    assert positions.position_weights_loss(splits.train, splits.validation) < 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines, "EI, S99, ACG"], "line 61: the sequence has 3 letters"),
        (
            lambda lines: [*lines, "EI, S99"],
            "line 61 is 'EI, S99'; wanted `class, name",
        ),
        (lambda lines: [*lines, "EI,, ACGTA"], "line 61 is 'EI,, ACGTA'; wanted"),
        (lambda lines: [*lines, "EI, S99, ACG?A"], r"line 61: the sequence has '\?'"),
        (lambda lines: ["<html>", *lines], "line 1 is '<html>'; wanted `class, name"),
        (lambda lines: lines[:1], "has 1 classes; wanted 2 to 20"),
        (lambda lines: [], "has 0 classes; wanted 2 to 20"),
        (lambda lines: lines[:4], "4 examples of 2 classes are too few"),
        (lambda lines: ["EI, é, ACGTA"], "is not a text in ASCII"),
    ],
)
def test_other_files_are_refused_by_name(change, message, tmp_path):
    path = write(tmp_path, change(rows()))
    with pytest.raises(ValueError, match=message) as raised:
        sequences.read_sequences(path)
    assert str(path) in str(raised.value)


def test_a_folder_and_a_large_file_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="is a folder; wanted a file"):
        sequences.read_sequences(tmp_path)
    monkeypatch.setattr(sequences, "MOST_LETTERS", 4)
    with pytest.raises(
        ValueError, match="the sequence has 5 letters; wanted at most 4"
    ):
        sequences.read_sequences(write(tmp_path, rows()))
    monkeypatch.setattr(sequences, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="has more than 10 bytes"):
        sequences.read_sequences(write(tmp_path, rows()))


def test_the_words_at_each_place_are_those_of_the_sequence():
    draw = np.random.default_rng(0)
    x = draw.random((2, 5, 4)).astype(np.float32)
    expected = [
        [
            math.prod(x[row, place + i, base] for i, base in enumerate(word))
            for size in (1, 2, 3)
            for place in range(5 - size + 1)
            for word in itertools.product(range(4), repeat=size)
        ]
        for row in range(2)
    ]
    np.testing.assert_allclose(network.words_of(x), expected, rtol=1e-6)
    # A sequence of two bases has no words of three.
    assert network.words_of(x[:, :2]).shape == (2, 2 * 4 + 16)


def test_the_network_begins_with_the_decisions_of_the_table(splits):
    table = positions.PositionTable.of(splits.train)
    model = Network(nnx.Rngs(0), table, share=0.3, dropout=0.5)
    model.eval()
    x = splits.validation.x[:5]
    found = jax.nn.log_softmax(nnx.jit(model)(x))
    expected = log_softmax(0.3 * table.scores(x), axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_recipe_decides_the_share_of_the_table_and_the_dropout(splits):
    recipe = dataclasses.replace(RECIPE, table=0.25, dropout=0.5)
    model: Any = task_of("dna").prepare(recipe, None).make(nnx.Rngs(0))
    assert model.word_dropout.rate == 0.5
    prior = 0.25 * positions.PositionTable.of(splits.train).prior
    np.testing.assert_allclose(model.words.bias[...], prior, rtol=1e-6)
    with pytest.raises(ValueError, match=r"`dropout` is 1\.0; wanted a rate below 1"):
        dataclasses.replace(RECIPE, dropout=1.0)


def test_it_has_label_smoothing_in_training_and_not_in_evaluation(splits):
    recipe: Any = dataclasses.replace(RECIPE, label_smoothing=0.1)
    prepared = task_of("dna").prepare(recipe, None)
    batch = jax.tree.map(lambda a: a[:8], splits.train)
    certain = lambda x: 20.0 * jax.nn.one_hot(batch.y, 3)
    assert prepared.loss(certain, batch)[0] < 1e-6
    assert training_loss(prepared.loss, recipe)(certain, batch)[0] > 1


@pytest.fixture(scope="module")
def small():
    """The task with a small network, and the network after a short training."""
    patch = pytest.MonkeyPatch()
    patch.setattr(network, "CHANNELS", 16)
    patch.setattr(network, "HIDDEN", 8)
    # The motifs are at any place, so little is lost with most of the words.
    recipe = dataclasses.replace(RECIPE, dropout=0.95)
    prepared = task_of("dna").prepare(recipe, None)
    yield prepared, trained(prepared, steps=200, learning_rate=1e-2)
    patch.undo()


def test_it_ends_above_the_table_and_shows_its_kernels(small, tmp_path):
    prepared, model = small
    outcome = prepared.outcome(model, tmp_path)
    confusion, *others = outcome.exhibits
    counts = np.array(confusion.values)
    test = prepared.evaluation["test"]
    np.testing.assert_array_equal(counts.sum(1), np.bincount(test.y))
    accuracy = np.trace(counts) / counts.sum()
    assert accuracy > outcome.metrics["floor_accuracy"] + 0.2
    logos, marked = others[:4], others[4:]
    # A kernel that has found a motif has a letter that nearly all windows share.
    assert max(max(row.values()) for row in logos[0].heights) > 1.2
    assert len(marked) == 2 and all(len(one.tokens) == 60 for one in marked)


def test_the_height_of_a_letter_is_its_share_of_the_information():
    windows = np.eye(4)[[[0, 0], [0, 1], [0, 2], [0, 3]]]
    heights = logo_heights(windows)
    np.testing.assert_allclose(heights, [[2, 0, 0, 0], [0, 0, 0, 0]], atol=1e-12)
    half = logo_heights(np.eye(4)[[[1], [3]]])
    np.testing.assert_allclose(half, [[0, 0.5, 0, 0.5]])


def test_the_effect_of_a_base_is_beside_the_mean_of_all(small):
    prepared, model = small
    sequence = np.asarray(prepared.evaluation["test"].x)[0]
    found = base_effects(model, sequence, 1)
    run = nnx.jit(lambda x: jax.nn.log_softmax(model(x))[:, 1])
    others = np.tile(sequence, (4, 1, 1))
    others[:, 7] = np.eye(4)
    expected = run(sequence[None])[0] - np.mean(run(others))
    np.testing.assert_allclose(found[7], expected, rtol=1e-3, atol=1e-4)
