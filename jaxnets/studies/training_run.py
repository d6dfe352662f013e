"""What all studies do alike: compile, train, evaluate, and keep the curves."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnets import training
from jaxnets.studies.arm import OnEpoch, Outcome, Recorder, epoch_ends


class Trained(NamedTuple):
    """A trained arm.

    Attributes:
        program: The compiled training.
        state: States after training; those before it where training stopped early.
        history: What was seen; None where not even one epoch was finite.
        test: Figures on the test data at the end, `(seeds,)`; empty if it stopped.
        message: Empty, or why training stopped.
    """

    program: training.Program
    state: training.TrainState
    history: training.History | None
    test: dict[str, jax.Array]
    message: str

    def record_curves(
        self, recorder: Recorder, figures: Sequence[str] = ("loss", "accuracy")
    ) -> None:
        """Record training means of each epoch, evaluations after it, and the test."""
        if self.history is None:
            return
        reports, evaluations, per_epoch = self.history
        ends = list(epoch_ends(reports.loss.shape[1], per_epoch))
        training_means = {
            f"train_{name}": values.reshape(len(values), -1, per_epoch).mean(-1)
            for name, values in {"loss": reports.loss, **reports.figures}.items()
        }
        # A study that evaluates on the training data itself replaces the means.
        for metric, values in (training_means | evaluations).items():
            if metric.rpartition("_")[2] in figures:
                recorder.curve(metric, values, steps=ends)
        for name, values in self.test.items():
            if name in figures:
                recorder.scalar(f"test_{name}", values, step=ends[-1])

    def outcome(self, recorder: Recorder) -> Outcome:
        """Return what the study hands on."""
        parameters = jax.tree.leaves(self.program.initial.params)
        count = sum(int(np.prod(array.shape[1:])) for array in parameters)
        seconds = self.program.compile_seconds
        return Outcome(recorder.records, count, seconds, self.message)


def train(
    make_model: Any,
    loss: training.Loss,
    optimizer: Any,
    batches: training.Batches,
    evaluation: dict[str, Any],
    *,
    test: Any,
    seeds: Sequence[int],
    epochs: int,
    on_epoch: OnEpoch,
    watch: training.Watch | None = None,
) -> Trained:
    """Compile, train and test one arm; a loss that is not finite ends it with words."""
    program = training.compile_program(
        make_model, loss, optimizer, batches, seeds=seeds, watch=watch
    )

    def report(number: int, figures: dict[str, np.ndarray]) -> None:
        means = [np.mean(figures[f"validation_{n}"]) for n in ("loss", "accuracy")]
        on_epoch(number, epochs, float(means[0]), float(means[1]))

    try:
        state, history = training.fit(program, epochs, evaluation, on_epoch=report)
    except training.NonFiniteLoss as error:
        seed = seeds[error.seed_index]
        message = f"{error} The seed was {seed}."
        return Trained(program, program.initial, error.history, {}, message)
    return Trained(program, state, history, program.evaluate(state, test), "")
