r"""Claim: how well DNA is classified in ten folds, and unknown speakers are understood.

    uv run python benchmarks/held_out.py dna splice.data --set dropout=0.4
    uv run python benchmarks/held_out.py dna promoters.data --divisions 10 \
        --set steps=150 --set batch_size=48 --set optimizer=sgd \
        --set learning_rate=0.1 --set weight_decay=0 --set table=0.1 --set dropout=0.2
    uv run python benchmarks/held_out.py speech recordings.zip --set steps=3000

Each part of the data is the test once, and a network is trained on all others. The
number of updates is fixed, so there is no validation that anything depends on. `dna`
has ten parts with equal shares of the classes, drawn anew for each division; the parts
of `speech` are the speakers. The script prints a line for each division or speaker, and
the mean with its 95 % interval over them.
"""

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from flax import nnx
from sklearn.model_selection import StratifiedKFold

from jaxnets.data import Labelled
from jaxnets.report.intervals import interval
from jaxnets.runs.estimates import estimate
from jaxnets.tasks import TrainConfig, run_task, task_of
from jaxnets.tasks.dna.positions import position_weights_accuracy
from jaxnets.tasks.dna.sequences import labelled_sequences
from jaxnets.tasks.dna.training import DNARecipe, make_network
from jaxnets.tasks.epochs import batches_of
from jaxnets.tasks.speech.recordings import read_recordings, recording_files
from jaxnets.training import Recipe, classification, random_key, train
from jaxnets.training.machine import environment


FOLDS = 10
Row = tuple[str, dict[str, float]]


def dna(path: Path, recipe: DNARecipe, divisions: int) -> Iterator[Row]:
    """Yield the errors of each division into folds, of the network and of the table."""
    _, (x, y) = labelled_sequences(path)
    print(f"{len(y)} sequences without repetitions, {FOLDS} folds")
    for seed in range(divisions):
        recipe = dataclasses.replace(recipe, seed=seed)
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        errors = {"errors": 0.0, "errors of the table": 0.0}
        for rest, off in folds.split(x, y):
            training, test = Labelled(x[rest], y[rest]), Labelled(x[off], y[off])
            model = _trained(training, recipe)
            found = np.asarray(nnx.jit(model)(test.x)).argmax(axis=1)
            errors["errors"] += int((found != y[off]).sum())
            wrong = 1 - position_weights_accuracy(training, test)
            errors["errors of the table"] += round(len(off) * wrong)
        yield f"division {seed}", errors


def _trained(training: Labelled, recipe: DNARecipe) -> nnx.Module:
    """Return the network of the task, trained on one fold's training sequences."""
    model = make_network(nnx.Rngs(random_key(recipe.seed)), training, recipe)
    batch = batches_of(recipe, training, "training sequences")
    with tempfile.TemporaryDirectory() as folder:
        trained = train(model, classification, batch, recipe, Path(folder))
    trained.model.eval()
    return trained.model


def speech(path: Path, recipe: Recipe, divisions: int) -> Iterator[Row]:
    """Yield the figures of each speaker, who is in no training data.

    Raises:
        ValueError: If more than one division is asked for, or a file is not a recording
            with a name `word_speaker_index.wav`.
    """
    if divisions != 1:
        raise ValueError(f"`divisions` is {divisions}; speakers have only one.")
    read_recordings(path)  # It refuses what has another name or cannot be read.
    # Files in two folders may have one name.
    files = [(name.name, data) for name, data in recording_files(path)]
    speakers = [name.split("_")[1] for name, _ in files]
    for speaker in sorted({*speakers}):
        with tempfile.TemporaryDirectory() as folder:
            sounds = Path(folder, "sounds")
            for i, (name, data) in enumerate(files):
                split = "test" if speakers[i] == speaker else "train"
                (sounds / split / str(i)).mkdir(parents=True)
                (sounds / split / str(i) / name).write_bytes(data)
            config = TrainConfig("speech", recipe, data=str(sounds))
            metrics = run_task(config, Path(folder, "run")).metrics
        yield (
            speaker,
            {
                "right": metrics["search_accuracy"],
                "right, regression": metrics["floor_accuracy"],
                "wrong in strings": metrics["string_errors"],
                "wrong in strings, regression": metrics["floor_string_errors"],
            },
        )


def main() -> None:
    """Train once for each part, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("task", choices=("dna", "speech"))
    parser.add_argument("data", type=Path, help="as for `jaxnets train TASK --data`")
    parser.add_argument(
        "--divisions", type=int, default=1, help="divisions of DNA into folds"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="settings"
    )
    given = parser.parse_args()
    recipe = task_of(given.task).recipe
    for setting in given.settings:
        name, _, value = setting.partition("=")
        recipe = recipe.override(name, value)
    rows, started = [], time.process_time()
    for label, figures in {"dna": dna, "speech": speech}[given.task](
        given.data, recipe, given.divisions
    ):
        rows.append(figures)
        text = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        print(f"{label}: {text}", flush=True)
    for name in rows[0]:
        mean = interval(estimate([figures[name] for figures in rows]))
        print(f"mean {name}: {mean}")
    machine = environment()
    versions = ", ".join(f"{name} {machine[name]}" for name in ("jax", "flax"))
    seconds = time.process_time() - started
    print(f"{seconds:.0f} s of processor time; {machine['processor']}; {versions}")


if __name__ == "__main__":
    main()
