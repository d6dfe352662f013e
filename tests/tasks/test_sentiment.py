"""The sentiment task: its grammar, its files, and networks that beat a bag of words."""

import itertools
import re
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from jaxnets.tasks import SampleOptions, task_of
from jaxnets.tasks.sampling import made_again
from jaxnets.tasks.sentiment import grammar, network, sentences
from jaxnets.training import Recipe, random_key
from tests.tasks.short_training import trained


RECIPE = Recipe(steps=1, batch_size=32, learning_rate=0.1)
SAMPLER: Any = task_of("sentiment").sampler


def test_the_sentiment_of_the_grammar_is_its_rule():
    found, labels = grammar.generated_sentences()
    assert len(found) == 4000 and abs(labels.mean() - 0.5) < 0.03
    for sentence, label in zip(found, labels, strict=True):
        total = 0
        for clause in re.split(", | and | but ", sentence):
            words = clause.split()
            count = 1 if words[-1] in grammar.PRAISE else -1
            count *= -1 if {"not", "never"} & set(words) else 1
            total += count * (2 if set(grammar.INTENSIFIERS) & set(words) else 1)
        assert label == (total > 0) and total


def lines(count=60):
    words = itertools.product(["good", "bad"], "abcdefgh", "ijklmnop")
    made = [" ".join(word) for word in itertools.islice(words, 0, 128, 2)][:count]
    return [
        f"{i}\t{'-' * ('bad' in text)}{1 + i % 3}.5\tA {text} film!"
        for i, text in enumerate(made)
    ]


def write(tmp_path, rows):
    path = tmp_path / "ratings.txt"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_file_is_read_without_repetitions_and_neutral_sentences(tmp_path):
    rows = lines(40)
    path = write(tmp_path, [*rows, "", "9\t-1\t" + rows[0].split("\t")[2], "8\t0\tSo."])
    found, labels = sentences.read_sentences(path)
    assert len(found) == 40 and found[0] == "A good a i film!"
    np.testing.assert_array_equal(labels, ["good" in text for text in found])
    vocabulary = sentences.vocabulary_of(["not Not bad", "bad!"], least=2)
    assert vocabulary == ["bad", "not"]
    coded = sentences.coded(["bad film", "Not bad not"], np.array([0, 1]), vocabulary)
    np.testing.assert_array_equal(coded.words, [[2, 1, 0], [3, 2, 3]])
    np.testing.assert_array_equal(coded.lengths, [2, 3])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1\t2.0"], "line 1 is '1.t2.0'; wanted a name, a rating from -4 to 4"),
        (["1\tgood\tA film."], "line 1 is .*; wanted a name, a rating"),
        (["1\tnan\tA film."], "line 1 is .*; wanted a name, a rating"),
        (["1\t2\tA film.", "1\t5\tA film."], "line 2 is .*; wanted a name, a rating"),
        (["1\t2\t..."], "line 1 is .*; wanted a name, a rating"),
        (["<html>"], "line 1 is '<html>'; wanted a name, a rating"),
        ([], "0 examples of 0 classes are too few"),
        (["1\t2\tA film."] * 9, "1 examples of 1 classes are too few"),
    ],
)
def test_other_files_are_refused_by_name(rows, message, tmp_path):
    path = write(tmp_path, rows)
    with pytest.raises(ValueError, match=message) as raised:
        task_of("sentiment").prepare(RECIPE, path)
    assert str(path) in str(raised.value)


def test_a_folder_a_large_file_and_other_bytes_are_refused(tmp_path, monkeypatch):
    path = write(tmp_path, lines())
    with pytest.raises(ValueError, match="and there are 48 training sentences"):
        task_of("sentiment").prepare(Recipe(1, 64, 0.1), path)
    with pytest.raises(ValueError, match="is a folder; wanted a file"):
        sentences.read_sentences(tmp_path)
    path.write_bytes(b"1\t2\t\xff")
    with pytest.raises(ValueError, match="is not a text in UTF-8"):
        sentences.read_sentences(path)
    monkeypatch.setattr(sentences, "MOST_BYTES", 3)
    with pytest.raises(ValueError, match="has more than 3 bytes"):
        sentences.read_sentences(path)


@pytest.fixture(scope="module")
def small():
    """The task with small networks, and the networks after a short training."""
    patch = pytest.MonkeyPatch()
    for name, size in (("FEATURES", 16), ("CHANNELS", 32), ("HIDDEN", 16)):
        patch.setattr(network, name, size)
    patch.setattr(network, "DROPOUT", 0.0)
    prepared = task_of("sentiment").prepare(RECIPE, None)
    yield prepared, trained(prepared, steps=220, learning_rate=1e-2)
    patch.undo()


def test_both_networks_learn_what_the_bag_of_words_cannot(small, tmp_path):
    prepared, model = small
    floors, outcome = prepared.floors(), prepared.outcome(model, tmp_path)
    # A bag of words finds nothing, so its loss is that of a guess.
    np.testing.assert_allclose(list(floors.values()), np.log(2), rtol=0.02)
    assert outcome.metrics["floor_accuracy"] < 0.6
    table, *shown = outcome.exhibits
    bag, cnn, lstm = (row[0] for row in table.values)
    assert bag == outcome.metrics["floor_accuracy"] and min(cnn, lstm) > 0.9
    for marked in shown:
        assert max(np.abs(marked.weights)) == pytest.approx(1)
        assert len(marked.tokens) == len(marked.weights) >= 15


def test_the_effect_of_a_word_is_what_its_absence_changes(small):
    prepared, model = small
    vocabulary = prepared.about["vocabulary"]
    run = nnx.jit(model)

    def odds(text):
        one = sentences.coded([text], np.array([0]), vocabulary)
        return np.asarray(run(np.pad(one.words, ((0, 0), (0, 1)))[:, :6], one.lengths))

    words = "the plot was not good"
    codes = sentences.coded([words], np.array([0]), vocabulary).words[0]
    found = network.word_effects(model, codes)
    np.testing.assert_allclose(
        found[3], (odds(words) - odds("the plot was good"))[0], rtol=1e-3, atol=1e-4
    )
    said = SAMPLER.draw(model, prepared.about, SampleOptions(prompt=words))
    p = 1 / (1 + np.exp(-odds(words)[0]))
    assert said == [f"probability of praise: cnn {p[0]:.3f}, lstm {p[1]:.3f}"]
    assert max(p) < 0.1


def test_the_sampler_has_the_types_of_the_run(small):
    prepared, _ = small
    made = prepared.make(nnx.Rngs(random_key(0))), made_again(SAMPLER)(prepared.about)
    one, other = (nnx.state(model) for model in made)
    same = jax.tree.map(
        lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), one, other
    )
    assert all(jax.tree.leaves(same))


def test_what_cannot_be_judged(small):
    prepared, model = small
    for prompt in (None, "", "..."):
        with pytest.raises(ValueError, match="wanted an English sentence"):
            SAMPLER.draw(model, prepared.about, SampleOptions(prompt=prompt))
    for about in ({}, {"vocabulary": [1]}, {"vocabulary": "words"}):
        with pytest.raises(ValueError, match="holds no vocabulary"):
            made_again(SAMPLER)(about)
