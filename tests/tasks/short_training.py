"""A training of a few steps, without the files of a run."""

import jax
import optax
from flax import nnx

from jaxnets.tasks import Prepared
from jaxnets.training import make_step, train_state


def trained(prepared: Prepared, steps: int, learning_rate: float) -> nnx.Module:
    """Return the network of a task after some steps of Adam, in evaluation mode."""
    transform = optax.adam(learning_rate)
    graphdef, state = train_state(prepared.make(nnx.Rngs(0)), transform)
    step = jax.jit(make_step(graphdef, prepared.loss, transform))
    for number in range(steps):
        state, _ = step(state, prepared.batch(number))
    model = nnx.merge(graphdef, state.params, state.rest)
    model.eval()
    return model
