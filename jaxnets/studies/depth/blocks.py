"""What each block contributes to a trained network of the study of depth."""

import jax
from flax import nnx

from jaxnets import gradflow, training
from jaxnets.studies.arm import Arm, Recorder
from jaxnets.studies.training_run import Trained


# Networks of the lesion profile that are computed at a time.
_BATCH = 16


def record_blocks(
    recorder: Recorder, arm: Arm, trained: Trained, splits, *, examples: int, step: int
) -> None:
    """Record the lesion profile, and in networks with shortcuts the contributions.

    Args:
        recorder: Writes the records.
        arm: The arm.
        trained: The trained networks.
        splits: The data; the validation examples are used.
        examples: Number of examples.
        step: Number of updates of the trained networks.
    """
    batch = jax.tree.map(lambda array: array[:examples], splits.validation)

    def model_of(state):
        graphdef = trained.program.graphdef
        model = nnx.merge(graphdef, state.params, state.rest, copy=True)
        model.eval()
        return model

    def probe(state):
        def loss(skipped):
            # Merged here, since a call writes the statistics of BatchNorm.
            network = model_of(state)
            apply = lambda x: network(x, skipped=skipped)
            return training.classification(apply, batch)[0]

        model = model_of(state)
        blocks = model.block_count
        found = {"lesion": gradflow.lesion_profile(loss, blocks, batch_size=_BATCH)}
        if arm.settings["residual"] or "constrained" in arm.settings:
            found["block_contribution"] = model.contributions(batch.x)
        return found

    every = jax.jit(lambda states: jax.lax.map(probe, states))
    for metric, values in every(trained.state).items():
        places = [f"block {number}" for number in range(1, values.shape[-1] + 1)]
        recorder.profile(metric, values, step=step, places=places)
