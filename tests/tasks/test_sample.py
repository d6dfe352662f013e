"""`jaxnets sample`: texts of a run of `characters`, and what it refuses."""

import dataclasses
import json
import shutil
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets.cli import main
from jaxnets.runs.catalogue import SAMPLES, TASKS
from jaxnets.tasks import SampleOptions, TrainConfig, task_of
from jaxnets.tasks.sampling import made_again
from jaxnets.tasks.writing import marked_passage
from jaxnets.training import load_trained, random_key, train


# A form feed and an escape, which reading JSON makes printable.
TEXT = "the quick brown fox\x0c jumps\x1b over the lazy dog.\n" * 90
SAMPLER: Any = task_of("characters").sampler
RECIPE: Any = dataclasses.replace(
    task_of("characters").recipe,
    steps=2,
    batch_size=4,
    hidden=16,
    layers=2,
    dropout=0.1,
    length=32,
)
ABOUT = {
    "alphabet": sorted(map(ord, set(TEXT))),
    "network": {"hidden": 16, "num_layers": 2, "dropout": 0.1},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run without its measurements, and what it ended with."""
    path = tmp_path_factory.mktemp("sample")
    (path / "text.txt").write_text(TEXT)
    prepared = task_of("characters").prepare(RECIPE, path / "text.txt")
    model, folder = prepared.make(nnx.Rngs(random_key(0))), path / "run"
    about = prepared.about
    result = train(model, prepared.loss, prepared.batch, RECIPE, folder, about=about)
    result.model.eval()
    config = TrainConfig("characters", RECIPE, str(path / "text.txt"))
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    return folder, result


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained[0], tmp_path / "run")


def sample(capsys, *words):
    assert main(["sample", *map(str, words)]) == 0
    return capsys.readouterr()


def test_the_seed_decides_the_text_and_a_longer_one_begins_with_it(trained, capsys):
    folder, result = trained
    said = sample(capsys, folder, "--length", 20, "--prompt", "fox", "--seed", 3).out
    assert said.startswith("fox") and len(said) == 3 + 20 + 1
    assert set(said) <= set(TEXT)

    def draw(length, seed):
        options = SampleOptions(length=length, prompt="fox", seed=seed)
        return SAMPLER.draw(result.model, ABOUT, options)[0]

    assert draw(30, 3).startswith(said[:-1])
    assert not draw(30, 4).startswith(said[:-1])


def test_several_samples_and_the_options_of_the_draw(trained, capsys):
    folder, result = trained
    words = ["--length", "5", "--count", "2", "--top-k", "1", "--top-p", "0.9"]
    lines = sample(capsys, folder, *words, "--prompt", "a").out.split("\n")
    assert lines[0] == "--- 1 of 2 ---"
    first, second = "\n".join(lines).split("--- 2 of 2 ---\n")
    # The likeliest character always, so both are the same, and that of the network.
    assert first.partition("\n")[2] == second
    alphabet = sorted(set(TEXT))
    start = np.array([[alphabet.index("a")]])
    likeliest = result.model.generate(start, 5)[0]
    assert second == "a" + "".join(alphabet[code] for code in likeliest) + "\n"


def test_the_network_is_that_of_the_newest_intact_checkpoint(copy, trained, capsys):
    half = copy / "checkpoints" / "00000099"
    half.mkdir()
    said = []
    found, about = load_trained(made_again(SAMPLER), RECIPE, copy, say=said.append)
    assert found.params_sha256 == trained[1].params_sha256 and found.step == 2
    assert about == ABOUT
    assert len(said) == 1 and "step 99 is passed over: manifest.json is" in said[0]
    # The run may be writing it, so it stays as it is.
    assert half.is_dir()
    assert "step 99 is passed over" in sample(capsys, copy, "--length", 1).err


def test_a_run_ends_with_a_sample_and_the_loss_of_each_character(trained, tmp_path):
    folder, result = trained
    prepared: Any = task_of("characters").prepare(RECIPE, folder.parent / "text.txt")
    text, marked, link = prepared.outcome(result.model, tmp_path).exhibits
    assert (len(text.text), text.text[0]) == (501, "\n")
    assert (tmp_path / link.file).stat().st_size < 1e6
    x, y = (np.asarray(rows[:1]) for rows in prepared.evaluation["validation"])
    logits = np.asarray(result.model(x), float)[0]
    losses = np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(logits)), y[0]]
    np.testing.assert_allclose(marked.weights, losses / losses.max(), rtol=1e-4)
    alphabet = sorted(set(TEXT))
    assert marked.tokens == [alphabet[code] for code in y[0]]


def test_a_passage_of_one_character_does_not_surprise():
    codes = np.zeros((1, 3), int)
    marked = marked_passage(lambda x: jnp.zeros((1, 3, 1)), codes, codes, ["a"])
    assert marked.weights == [0, 0, 0]


def refused(capsys, *words):
    assert main(["sample", *map(str, words)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--top-p", "2"], "--top-p is 2.0; wanted a probability above 0"),
        (["--count", "0"], "--count is 0; wanted 1 or more"),
        (["--length", "-1"], "--length is -1; wanted 1 or more"),
        (
            ["--out", "tunes"],
            "--out is tunes, but a sample of the task 'characters' is",
        ),
        (["--heat", "2"], "there is no option --heat"),
        (["--temperature", "hot"], "hot"),
    ],
)
def test_a_wrong_argument_is_one_line(words, message, trained, capsys):
    assert message in refused(capsys, trained[0], *words)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"prompt": ""}, "`prompt` is empty; wanted at least one character"),
        ({"prompt": "the 7"}, "`prompt` has '7', which is not among the 31"),
        ({"temperature": -1.0}, "`temperature` is -1.0; wanted a finite number"),
        ({"temperature": float("nan")}, "`temperature` is nan; wanted a finite number"),
        ({"top_k": 0}, "`top_k` is 0; wanted 1 or more"),
        ({"seed": -1}, "`seed` is -1; wanted 0 to"),
    ],
)
def test_a_wrong_option_is_named(option, message, trained):
    with pytest.raises(ValueError, match=message):
        SAMPLER.draw(trained[1].model, ABOUT, SampleOptions(**option))


@pytest.mark.usefixtures("unchecked_annotations")
def test_folders_without_a_network(copy, tmp_path, capsys):
    assert "holds no run" in refused(capsys, tmp_path / "nowhere")
    config = json.loads((copy / "config.json").read_text())
    recipe = dataclasses.asdict(task_of("images").recipe)
    cases: list[tuple[Any, str]] = [
        ("images", "makes no samples; wanted a run of characters, music"),
        ("poems", "`task` is 'poems'; wanted one of characters"),
        (["images"], "`task` is ['images']; wanted one of characters"),
    ]
    for task, message in cases:
        changed = {**config, "task": task, "recipe": recipe}
        (copy / "config.json").write_text(json.dumps(changed))
        assert message in refused(capsys, copy)
    (copy / "config.json").write_text(json.dumps(config))
    shutil.rmtree(copy / "checkpoints")
    assert "has no intact checkpoint in checkpoints" in refused(capsys, copy)


def test_the_tasks_that_have_samples_are_those_of_the_catalogue():
    assert [name for name in TASKS if task_of(name).sampler] == [
        name for name in TASKS if name in SAMPLES
    ]


@pytest.mark.parametrize("alphabet", [None, [], "abc", [-1], ["a"], [1e9]])
def test_a_damaged_alphabet(alphabet):
    with pytest.raises(ValueError, match="alphabet"):
        made_again(SAMPLER)({"alphabet": alphabet})
