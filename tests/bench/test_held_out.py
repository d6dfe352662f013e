"""The parts of `benchmarks/held_out.py`: each is the test once, and in no training."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from benchmarks import held_out
from jaxnets.tasks import task_of
from tests.tasks.test_speech import wav


class FirstClass(nnx.Module):
    """Says of every sequence that it is of the first class."""

    def __call__(self, x):
        return jnp.tile(jnp.array([1.0, 0.0]), (len(x), 1))


def test_each_sequence_is_tested_once_by_a_network_that_has_not_seen_it(
    tmp_path, monkeypatch
):
    seen = []

    def trained(training, recipe):
        seen.append({row.tobytes() for row in np.asarray(training.x)})
        return FirstClass()

    monkeypatch.setattr(held_out, "_trained", trained)
    words = ["".join(word) for word in itertools.product("ACGT", repeat=3)][:40]
    lines = [f"{'EI' if i < 15 else 'N'}, S{i}, {word}" for i, word in enumerate(words)]
    path = tmp_path / "some.data"
    path.write_text("\n".join(lines))
    recipe: Any = task_of("dna").recipe
    found = dict(held_out.dna(path, recipe, 2))
    assert [figures["errors"] for figures in found.values()] == [25, 25]
    # Ten folds of four sequences, each left out once.
    for division in (seen[:10], seen[10:]):
        assert [len(part) for part in division] == [36] * 10
        assert not set.intersection(*division)


def test_a_speaker_is_in_no_training_data(tmp_path, monkeypatch):
    speakers, splits = ("ann", "bob"), []
    for speaker, day in itertools.product(speakers, ("monday", "tuesday")):
        (tmp_path / day).mkdir(exist_ok=True)
        (tmp_path / day / f"no_{speaker}_7.wav").write_bytes(wav())

    def run_task(config, folder):
        files = Path(config.data).glob("*/**/*.wav")
        names = [file.relative_to(config.data).parts for file in files]
        splits.append(sorted((parts[0], parts[-1].split("_")[1]) for parts in names))
        names = ("search_accuracy", "floor_accuracy", "string_errors")
        return SimpleNamespace(
            metrics=dict.fromkeys((*names, "floor_string_errors"), 0.5)
        )

    monkeypatch.setattr(held_out, "run_task", run_task)
    found = dict(held_out.speech(tmp_path, task_of("speech").recipe, 1))
    assert list(found) == ["ann", "bob"]
    assert splits == [
        [("test", "ann")] * 2 + [("train", "bob")] * 2,
        [("test", "bob")] * 2 + [("train", "ann")] * 2,
    ]
    (tmp_path / "yes.wav").write_bytes(wav())
    with pytest.raises(ValueError, match=r"yes\.wav: wanted a name"):
        dict(held_out.speech(tmp_path, task_of("speech").recipe, 1))
