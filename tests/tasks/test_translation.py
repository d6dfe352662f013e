"""The translation task: its numbers in words, its network, and files it refuses."""

import dataclasses
import gzip
import sys
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets.runs.exhibits import Matrix, Text
from jaxnets.tasks import SampleOptions, task_of
from jaxnets.tasks.decoder import attention_weights, contrast_loss, sentence_loss
from jaxnets.tasks.sampling import made_again
from jaxnets.tasks.translation import files, results, training
from jaxnets.tasks.translation.generated import alignment, numbers, pair
from jaxnets.tasks.translation.network import Sizes, make_network, translated
from jaxnets.tasks.translation.number_words import english, german
from jaxnets.tasks.translation.sentences import Sentences, padded
from jaxnets.tasks.translation.vocabulary import Pieces, Subwords, vocabulary_of
from jaxnets.training import random_key
from tests.tasks.short_training import judged


TASK = task_of("translation")


@pytest.mark.parametrize(
    ("number", "in_german", "in_english"),
    [
        (0, "null", "zero"),
        (1, "eins", "one"),
        (12, "zwölf", "twelve"),
        (16, "sechzehn", "sixteen"),
        (21, "einundzwanzig", "twenty-one"),
        (30, "dreißig", "thirty"),
        (77, "siebenundsiebzig", "seventy-seven"),
        (100, "einhundert", "one hundred"),
        (101, "einhunderteins", "one hundred one"),
        (1000, "eintausend", "one thousand"),
        (1001, "eintausendeins", "one thousand one"),
        (21_019, "einundzwanzigtausendneunzehn", "twenty-one thousand nineteen"),
        (101_000, "einhunderteintausend", "one hundred one thousand"),
        (
            760_215,
            "siebenhundertsechzigtausendzweihundertfünfzehn",
            "seven hundred sixty thousand two hundred fifteen",
        ),
        (
            999_999,
            "neunhundertneunundneunzigtausendneunhundertneunundneunzig",
            "nine hundred ninety-nine thousand nine hundred ninety-nine",
        ),
    ],
)
def test_numbers_in_words(number, in_german, in_english):
    assert pair(number) == (in_german, in_english)


def test_a_number_out_of_range_is_refused():
    with pytest.raises(ValueError, match="`number` is 1000000; wanted one from 0 to"):
        german(10**6)


def test_the_alignment_leads_to_the_word_of_the_same_value():
    same = dict(zip(*(map(str.split, WORDS)), strict=True))
    for number in (*range(0, 200, 7), 1001, 21_305, 417_018, 999_999):
        text = pair(number)[0]
        words = [part.word.strip(" -") for part in english(number)]
        places = alignment(number)
        found = [text[place.start : place.stop] for place in places]
        wanted = [same[word] for word in words]
        # "eins" loses its s before another word.
        assert ["eins" if word == "ein" else word for word in found] == wanted
        starts = sorted(place.start for place in places)
        assert len(set(starts)) == len(starts)


WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty "
    "sixty seventy eighty ninety hundred thousand",
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn "
    "vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn zwanzig dreißig vierzig "
    "fünfzig sechzig siebzig achtzig neunzig hundert tausend",
)


def test_the_numbers_of_the_splits_differ_and_training_has_every_word():
    parts = numbers()
    every = [number for part in parts for number in part]
    assert len(set(every)) == len(every) == 8600
    assert set(range(100)) < set(parts[0])
    corpus = training.generated()
    for one, other in corpus.test[:20]:
        source, target = corpus.vocabularies
        assert source.decode(source.encode(one)) == one
        assert target.decode(target.encode(other)) == other


def test_pieces_refuse_other_texts():
    vocabulary = Pieces(["one", " hundred", "-one", "twenty"], "English")
    assert vocabulary.encode("twenty-one hundred") == [4, 3, 2]
    with pytest.raises(ValueError, match="goes on with 'two'; wanted a number in Eng"):
        vocabulary.encode("twentytwo")
    with pytest.raises(ValueError, match="The vocabulary of the checkpoint is damaged"):
        vocabulary_of({"letters": 3})


SIZES = Sizes(source=7, target=6, features=3, hidden=5, dropout=0.0, contrasts=True)
SENTENCES = Sentences(
    np.array([[1, 2, 3, 4], [6, 5, 0, 0]], np.int32),
    np.array([4, 2], np.int32),
    np.array([[2, 3, 0], [5, 0, 0]], np.int32),
    np.array([3, 2], np.int32),
)


@pytest.fixture(scope="module")
def network():
    return make_network(nnx.Rngs(0), SIZES)


def test_the_loss_leaves_padding_out(rng):
    logits, targets = rng.normal(size=(2, 3, 4)), np.array([[1, 2, 0], [3, 0, 0]])
    lengths = np.array([3, 2])
    losses, hits = [], []
    for row, tokens, length in zip(logits, targets, lengths, strict=True):
        for scores, token in zip(row[:length], tokens, strict=False):
            losses.append(np.log(np.exp(scores).sum()) - scores[token])
            hits.append(scores.argmax() == token)
    loss, accuracy = sentence_loss(*map(jnp.asarray, (logits, targets, lengths)))
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-6)
    np.testing.assert_allclose(accuracy, np.mean(hits), rtol=1e-6)


def test_both_networks_have_the_gradient_of_their_own_loss(rng):
    logits = dict(zip("ab", jnp.asarray(rng.normal(size=(2, 2, 3, 6))), strict=True))
    own = lambda scores: sentence_loss(
        scores, SENTENCES.targets, SENTENCES.target_lengths
    )[0]

    def both(logits):
        networks = [lambda batch, name=name: (logits[name], None) for name in "ab"]
        model = SimpleNamespace(attentive=networks[0], without=networks[1])
        return contrast_loss(model, SENTENCES)

    (loss, figures), gradient = jax.value_and_grad(both, has_aux=True)(logits)
    losses = [loss, figures["without_attention_loss"]]
    np.testing.assert_allclose(losses, [own(logits[name]) for name in "ab"], rtol=1e-6)
    for name in "ab":
        wanted = jax.grad(own)(logits[name])
        np.testing.assert_allclose(gradient[name], wanted, rtol=1e-5, atol=1e-8)


def test_weights_are_zero_at_padding_and_equal_without_attention(network):
    with_attention, without = (
        np.asarray(attention_weights(part, SENTENCES))
        for part in (network.attentive, network.without)
    )
    for weights in (with_attention, without):
        assert weights.shape == (2, 3, 4)
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-6)
        np.testing.assert_array_equal(weights[1, :, 2:], 0)
    np.testing.assert_allclose(without[0], 1 / 4, rtol=1e-6)
    assert np.ptp(with_attention[0], axis=-1).min() > 1e-4


def test_greedy_translations_are_the_likeliest_tokens(network):
    """What is written step by step is what the whole sentence at once predicts."""
    rows = [[1, 2, 3, 4], [6, 5]]
    found = [tokens for [tokens] in translated(network.attentive, rows, beams=1)]
    targets, lengths = padded([[*tokens, 0] for tokens in found])
    batch = Sentences(*padded(rows), targets, lengths)
    logits, _ = nnx.jit(lambda network: network(batch))(network.attentive)
    likeliest = np.asarray(logits).argmax(axis=-1)
    most = 2 * 4 + 10
    for tokens, predicted in zip(found, likeliest, strict=True):
        assert len(tokens) <= most
        wanted = tokens if len(tokens) == most else [*tokens, 0]
        assert predicted[: len(wanted)].tolist() == wanted


def test_looking_at_a_word_is_counted_by_its_letters(network, monkeypatch):
    """Looking at the first letter of a word always hits, at the next word never."""
    tested = [123, 21_305, 999_999]
    for module in (training, results):
        monkeypatch.setattr(module, "numbers", lambda: [[0], [100], tested])
    corpus = training.generated()
    batch = corpus.encoded(corpus.test)
    at, after = np.zeros((2, *batch.targets.shape, batch.source.shape[1]))
    shares = []
    for row, number in enumerate(tested):
        length = len(pair(number)[0])
        for place, letters in enumerate(alignment(number)):
            at[row, place, letters.start] = after[row, place, letters.stop % length] = 1
            shares.append(len(letters) / length)
    for weights, hits in ((at, 1), (after, 0)):
        monkeypatch.setattr(results, "attention_weights", lambda *_, w=weights: w)
        found = results.aligned_shares(corpus, network.attentive)
        assert found["attention_on_its_word"] == hits
        assert found["floor_attention_on_its_word"] == pytest.approx(np.mean(shares))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small network that was trained on numbers below 100, and its task."""
    patch = pytest.MonkeyPatch()
    order = np.random.default_rng(0).permutation(np.arange(20, 100)).tolist()
    split = [[*range(20), *order[20:]], order[:10], order[10:20]]
    for module in (training, results):
        patch.setattr(module, "numbers", lambda: split)
    patch.setattr(training, "HIDDEN", (48, 0))
    recipe = dataclasses.replace(
        TASK.recipe, steps=200, batch_size=32, learning_rate=0.02, warmup=10
    )
    yield judged(TASK, recipe, tmp_path_factory.mktemp("a"))
    patch.undo()


def test_a_small_network_ends_above_its_floors(trained):
    prepared, run, outcome = trained
    found = outcome.metrics
    assert min(prepared.floors().values()) > run.metrics["validation_loss"]
    assert found["test_exact_greedy"] > 0.5
    assert found["floor_exact_copy"] == found["floor_exact_most_frequent"] == 0
    assert 0 < found["floor_attention_on_its_word"] < 1
    matrix, table, lengths = outcome.exhibits
    assert isinstance(matrix, Matrix) and matrix.rows[-1] == "end"
    np.testing.assert_allclose(np.sum(matrix.values, axis=1), 1, rtol=1e-5)
    assert isinstance(table, Text) and table.text.count("reference:") == 8
    assert isinstance(lengths, Text) and len(lengths.text.splitlines()) == 5


def test_the_sampler_translates_the_prompt(trained):
    prepared, run, _ = trained
    sampler: Any = TASK.sampler
    # A checkpoint of the run can be loaded into what the sampler makes.
    of_run = prepared.make(nnx.Rngs(random_key(3)))
    made, wanted = (
        jax.tree.map(lambda array: (array.shape, array.dtype), nnx.state(network))
        for network in (made_again(sampler)(prepared.about), of_run)
    )
    assert made == wanted
    ask = lambda **options: sampler.draw(
        run.model, prepared.about, SampleOptions(**options)
    )
    first, second = ask(prompt=" dreizehn ", count=2)
    assert first == "thirteen" != second
    assert len(ask()) == 1
    with pytest.raises(ValueError, match="`prompt`: the text goes on with 'x'; wanted"):
        ask(prompt="zweix")
    with pytest.raises(ValueError, match="`prompt` is empty"):
        ask(prompt=" ")
    with pytest.raises(ValueError, match="`count` is 101; wanted at most 100 trans"):
        ask(count=101)


@pytest.fixture
def folder(tmp_path):
    """Files of Multi30k's form, one of them compressed."""
    for split, count in (("train", 3), ("val", 2), ("test_2016", 2)):
        for language in ("de", "en"):
            lines = [f"{split} {language} Satz {i}." for i in range(count)]
            (tmp_path / f"{split}.{language}").write_text("\n".join(lines) + "\n")
    plain = tmp_path / "val.en"
    (tmp_path / "val.en.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    return tmp_path


def test_files_are_read_line_by_line(folder):
    train, validation, test = files.read_pairs(folder)
    assert train[2] == ("train de satz 2.", "train en satz 2.")
    assert validation[1] == ("val de satz 1.", "val en satz 1.")
    assert len(test) == 2


def test_a_test_is_taken_in_both_languages(folder):
    (folder / "test_2015.de").write_text("nur hier\n")
    (folder / "test_2017.en").write_text("only here\n")
    _, _, test = files.read_pairs(folder)
    assert test[0] == ("test_2016 de satz 0.", "test_2016 en satz 0.")
    (folder / "test_2016.en").unlink()
    with pytest.raises(FileNotFoundError, match="no two files test"):
        files.read_pairs(folder)


def test_a_mark_of_the_byte_order_is_no_letter(folder):
    path = folder / "train.de"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert files.read_pairs(folder)[0][0][0] == "train de satz 0."


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("val.en.gz", lambda old: None, r"has no val\.en or val\.en\.gz; wanted"),
        ("val.en.gz", lambda old: old[:-9], "not a complete gzip file"),
        ("val.en.gz", lambda old: b"<html>", "not a complete gzip file"),
        ("train.de", lambda old: old + b"mehr\n", "has 4 lines, and .* has 3"),
        ("train.de", lambda old: old[:-4], "the last line has no end"),
        ("train.de", lambda old: b"\n" + old, "line 1 has 0 characters"),
        # A zero-width space, which no strip removes, and two with a space between.
        ("train.de", lambda old: b"\xe2\x80\x8b\n" + old, "line 1 has 1 .* 0 of them"),
        ("train.de", lambda old: b"\xe2\x80\x8b \xe2\x80\x8b\n" + old, "3 .* 0 of"),
        ("train.de", lambda old: b"a" * 2001 + b"\n", "line 1 has 2001 characters"),
        ("train.de", lambda old: b"\xff\n", "is not a text in UTF-8"),
        ("train.de", lambda old: b"", "the last line has no end"),
    ],
)
def test_other_files_are_refused_by_name(name, change, message, folder):
    path = folder / name
    content = change(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as raised:
        files.read_pairs(folder)
    assert str(path).removesuffix(f"/{name}") in str(raised.value)


def test_what_is_too_large_and_what_is_no_folder_are_refused(folder, monkeypatch):
    with pytest.raises(ValueError, match="is no folder; wanted one with the files"):
        files.read_pairs(folder / "train.de")
    # A small file that becomes a large one is not unpacked whole.
    (folder / "val.en.gz").write_bytes(gzip.compress(b"a " * 10**6))
    monkeypatch.setattr(files, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match=r"val\.en\.gz has more than 1000 bytes"):
        files.read_pairs(folder)


def test_missing_packages_are_named(folder, monkeypatch):
    for name in ("sacrebleu", "sentencepiece"):
        monkeypatch.setitem(sys.modules, name, None)
    for ask in (lambda: files.read_corpus(folder), lambda: Subwords.of_texts(["a"])):
        with pytest.raises(ImportError, match=r"pip install 'jaxnets\[translation\]'"):
            ask()


def test_subwords_and_bleu(folder):
    pytest.importorskip("sentencepiece")
    pytest.importorskip("sacrebleu")
    corpus = files.read_corpus(folder)
    with pytest.raises(ValueError, match="cannot be cut into 4000 subwords"):
        Subwords.of_texts(map(chr, range(0x4E00, 0x4E00 + 5000)))
    source, _ = corpus.vocabularies
    tokens = source.encode("Train de Satz 1.")
    again = vocabulary_of(source.about())
    assert again.decode(tokens) == source.decode(tokens) == "train de satz 1."
    assert "".join(source.pieces(tokens)).replace("▁", " ") == " train de satz 1."
    assert 0 not in tokens and source.size > max(tokens)
    texts = ["the cat sat on the mat", "a dog"]
    assert results.bleu(texts, texts) == pytest.approx(100)
    assert results.bleu(["no", "none"], texts) < 10
