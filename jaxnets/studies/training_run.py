"""The training that the studies share: compile, train, evaluate, record curves."""

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
        state: The state of all seeds after training, or the initial one if training
            stopped early.
        history: Reports and evaluations; None if the loss was not finite in the first
            epoch.
        test: Figures on the test data after training, `(seeds,)`; empty if training
            stopped early.
        message: The reason if training stopped early, otherwise empty.
    """

    program: training.Program
    state: training.TrainState
    history: training.History | None
    test: dict[str, jax.Array]
    message: str

    def record_curves(
        self, recorder: Recorder, figures: Sequence[str] = ("loss", "accuracy")
    ) -> None:
        """Record the means and evaluations of each epoch, and the test at the end."""
        if self.history is None:
            return
        reports, evaluations, per_epoch = self.history
        ends = list(epoch_ends(reports.loss.shape[1], per_epoch))
        training_means = {
            f"train_{name}": values.reshape(len(values), -1, per_epoch).mean(-1)
            for name, values in {"loss": reports.loss, **reports.figures}.items()
        }
        # An evaluation on the training data replaces the mean over the epoch.
        for metric, values in (training_means | evaluations).items():
            if metric.rpartition("_")[2] in figures:
                recorder.curve(metric, values, steps=ends)
        for name, values in self.test.items():
            if name in figures:
                recorder.scalar(f"test_{name}", values, step=ends[-1])

    def outcome(self, recorder: Recorder) -> Outcome:
        """Return the outcome of the arm, with the records of `recorder`."""
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
    """Compile, train and test one arm.

    A loss that is not finite ends the training early and becomes the message.
    """
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
