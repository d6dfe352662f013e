"""Many updates in one compiled call, which stops at the first that is not finite."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxnets.training.step import Loss, TrainState, make_objective, make_step


class Progress(NamedTuple):
    """Everything that a run changes; what a checkpoint holds.

    Attributes:
        train: The state of training.
        average: The moving average of the weights, or None.
        skipped: Number of batches whose loss or gradient was not finite.
        best: The lowest validation loss so far.
        waited: Number of evaluations since then.
    """

    train: TrainState
    average: nnx.State | None
    skipped: jax.Array
    best: jax.Array
    waited: jax.Array

    @property
    def weights(self) -> Any:
        """The weights of the network in use: the average, if there is one."""
        return self.train.params if self.average is None else self.average


# `advance(progress, batches, count)` makes `count` updates. It returns the progress,
# how many batches it took, and the loss and the figures of each.
Advance = Callable[..., tuple[Progress, jax.Array, dict[str, jax.Array]]]


def initial_progress(state: TrainState, *, averaging: bool) -> Progress:
    """Return the progress before the first update."""
    average = state.params if averaging else None
    zero, infinity = jnp.zeros((), jnp.int32), jnp.array(jnp.inf, jnp.float32)
    progress = Progress(state, average, zero, infinity, zero)
    # Copies, because the compiled call is given each array to write over.
    return jax.tree.map(lambda array: array.copy(), progress)


def in_bfloat16(loss: Loss) -> Loss:
    """Return the loss of the network with its weights and inputs in bfloat16.

    The gradient arrives at the weights in their own dtype.
    """

    def cast(leaf: Any) -> Any:
        return leaf.astype(jnp.bfloat16) if leaf.dtype == jnp.float32 else leaf

    def cast_loss(model: Any, batch: Any):
        nnx.update(model, jax.tree.map(cast, nnx.state(model, nnx.Param)))
        return loss(model, jax.tree.map(cast, batch))

    return cast_loss


def make_advance(
    graphdef: nnx.GraphDef,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    average: float = 0.0,
    skip: int = 0,
    out_shardings: Any = None,
) -> Advance:
    """Return the compiled function that makes several updates.

    How many it makes is an argument, so there is one program, and a run that stopped
    and went on computes the same numbers as one that did not.

    Args:
        graphdef: The graph definition of the network.
        loss: `loss(model, batch) -> (scalar, {name: figure})`.
        optimizer: Any Optax transform.
        average: Decay of the moving average of the weights; 0 keeps none.
        skip: Number of batches, over the whole run, whose loss or gradient may be not
            finite. Such a batch changes nothing. The first one beyond, and beyond those
            that the run has skipped already, ends the call; the progress is that before
            it.
        out_shardings: Where what it returns lies, as `jax.jit` takes it.

    Returns:
        `advance(progress, batches, count)`. The batches have a leading axis, at least
        `count` long.
    """
    step = make_step(graphdef, loss, optimizer)
    objective = make_objective(graphdef, loss)

    def advance(progress: Progress, batches: Any, count: jax.Array):
        take = lambda number: jax.tree.map(lambda array: array[number], batches)
        # The objective has the figures too, and is traced faster than the step.
        state = progress.train
        value, (figures, _) = jax.eval_shape(
            objective, state.params, state.rest, take(0)
        )
        shapes = {"loss": value, **figures}
        rows = jax.tree.leaves(batches)[0].shape[0]
        blank = {
            name: jnp.zeros((rows, *s.shape), s.dtype) for name, s in shapes.items()
        }

        allowed = jnp.maximum(skip, progress.skipped)

        def going_on(carry) -> jax.Array:
            progress, number, _ = carry
            return (number < count) & (progress.skipped <= allowed)

        def update(carry):
            progress, number, figures = carry
            state, report = step(progress.train, take(number))
            finite = jnp.isfinite(report.loss) & _all_finite(state.params)
            after = _averaged(progress, state, average)
            kept = progress._replace(skipped=progress.skipped + 1)
            chosen = jax.lax.cond(finite, lambda: after, lambda: _passed(kept, allowed))
            row = _figures(report)
            figures = {name: figures[name].at[number].set(row[name]) for name in row}
            return chosen, number + 1, figures

        start = progress, jnp.zeros((), jnp.int32), blank
        return jax.lax.while_loop(going_on, update, start)

    return jax.jit(advance, donate_argnums=0, out_shardings=out_shardings)


def _figures(report: Any) -> dict[str, jax.Array]:
    return {"loss": report.loss, **report.figures}


def _averaged(progress: Progress, state: TrainState, decay: float) -> Progress:
    if progress.average is None:
        return progress._replace(train=state)
    mix = lambda mean, array: (decay * mean + (1 - decay) * array).astype(mean.dtype)
    average = jax.tree.map(mix, progress.average, state.params)
    return progress._replace(train=state, average=average)


def _passed(progress: Progress, allowed: jax.Array) -> Progress:
    """Count the step of a batch that is skipped, but not of one that ends the run."""
    step = progress.train.step + (progress.skipped <= allowed)
    return progress._replace(train=progress.train._replace(step=step))


def _all_finite(tree: Any) -> jax.Array:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if _is_float(leaf)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)
