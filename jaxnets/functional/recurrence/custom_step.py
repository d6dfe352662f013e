"""`recur`: the user's own step, repeated over time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree, Shaped

from jaxnets.functional.recurrence.arguments import check_callables
from jaxnets.functional.recurrence.custom_step_arguments import (
    batch_axes,
    check_leading,
    check_returned,
)
from jaxnets.functional.recurrence.time.cotangents import bounded_cotangents, explained
from jaxnets.functional.recurrence.time.options import check_clip_cotangent, parse_scan
from jaxnets.functional.recurrence.time.steps import scan_steps
from jaxnets.typing import ArrayLike


# A step has the shape of a scan body: step(state, x_t) -> (state, y_t).
Step = Callable[[Any, Any], tuple[Any, Any]]


def recur(
    step: Step,
    state: PyTree,
    xs: PyTree,
    *,
    lengths: Shaped[ArrayLike, "*batch"] | None = None,
    resets: Shaped[ArrayLike, "*batch_time"] | None = None,
    reverse: bool = False,
    time_major: bool = False,
    unroll: int = 1,
    checkpoint: int | str | None = None,
    truncate: int | None = None,
    clip_cotangent: float | None = None,
) -> tuple[PyTree, PyTree]:
    """Repeat the user's own `step` over time.

    `state_t, y_t = step(state_{t-1}, x_t)` for t = 0 .. T-1, or T-1 .. 0 with
    `reverse`. The step sees the whole batch at once: `x_t (*batch, features)`. It
    closes over its parameters, and gradients flow into them.

    Args:
        step: `step(state, x_t) -> (state, y_t)`, the shape of a body of `lax.scan`. The
            state that it returns has the structure, shapes and dtypes of `state`.
        state: The initial state, any pytree. With `lengths` or `resets` each of its
            arrays begins with the batch axes.
        xs: Array, or pytree of arrays, `(*batch, time, features)`, or
            `(time, *batch, ...)` with `time_major`, where any number of feature axes
            may follow, also none. T = 0 returns the initial state.
        lengths: Integers 0 to T of the shape `batch`: how many steps of each sequence
            are real. At the others the state stays, `ys` is zero, and `xs` is read as
            zero, so that what stands there reaches neither value nor gradient. The
            final state is the one at the last real step; length 0 gives the initial
            state. The values stay on the device: nothing is checked but the shape.
        resets: Booleans `(*batch, time)`, or `(time, *batch)` with `time_major`. Where
            true, the state is set to the initial state before that step is computed.
            Padded steps ignore them.
        reverse: Compute the last step first (with `lengths`, the last real step).
            `ys[t]` still belongs to `xs[t]`; the final state is the one after step 0.
        time_major: Whether time is the first axis of `xs`, `ys` and `resets`.
        unroll: How many steps one iteration of the compiled loop computes: less
            overhead against more code.
        checkpoint: None keeps what the derivative needs of every step. A number k keeps
            the state of every k-th step and computes the rest again when it is
            needed; "sqrt" is k = sqrt(T), for O(sqrt(T)) memory.
        truncate: A number k cuts backpropagation through time into windows of k steps,
            counted from the first real step computed: the state that enters step k, 2k
            and so on is `stop_gradient` of the state before, so a cotangent passes
            through k steps at most. None cuts nowhere. The values do not change.
        clip_cotangent: Bound of the absolute cotangents of the state, element by
            element, each time they leave a step on the way back. None bounds nothing.
            It has no forward mode, since it is no derivative.

    Returns:
        `(state, ys)`: the final state, and all `y_t`, with time where `xs` has it.

    Raises:
        ValueError: If `xs` has no arrays, too few axes or unequal numbers of steps, if
            `lengths`, `resets` or `state` do not fit its batch axes, or an option is
            out of its range.
        TypeError: If `step` is not callable, `lengths` are not integers, or `resets`
            not booleans.

    A `tap` inside the step reports statistics of shape `(time,)` under
    `jaxnets.gradflow.measure`; position t belongs to `xs[t]`, with `reverse` too. With
    `checkpoint` they are `(segments, steps)`, and the last, shorter segment, if there
    is one, reports under the name `rest/` and the tap's.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import recur
        >>> def leaky(h, x_t):
        ...     h = 0.5 * h + x_t
        ...     return h, h
        >>> x = jnp.ones((2, 3, 1))  # batch, time, features
        >>> h, ys = recur(leaky, jnp.zeros((2, 1)), x, lengths=jnp.array([3, 1]))
        >>> ys[..., 0]
        Array([[1.  , 1.5 , 1.75],
               [1.  , 0.  , 0.  ]], dtype=float32)
        >>> h[:, 0]
        Array([1.75, 1.  ], dtype=float32)

        A mask of any pattern rides along in `xs`, and the step keeps the state where it
        is false:

        >>> def observed(h, inputs):
        ...     x_t, seen_t = inputs
        ...     h = jnp.where(seen_t, leaky(h, x_t)[0], h)
        ...     return h, h
        >>> seen = jnp.array([[True, False, True], [False, True, False]])[..., None]
        >>> recur(observed, jnp.zeros((2, 1)), (x, seen))[1][..., 0]
        Array([[1. , 1. , 1.5],
               [0. , 1. , 1. ]], dtype=float32)

    Source: `checkpoint` is Chen et al. 2016, "Training Deep Nets with Sublinear Memory
    Cost". Beside `jax.lax.scan` it adds lengths, resets and checkpoints. Flax's
    `nnx.RNN` leaves outputs at padding as they come and returns the wrong state for
    length 0; Keras repeats the last output at padding, and `go_backwards` returns the
    outputs in reversed order; PyTorch packs sequences with lengths on the host.
    """
    check_callables(step=step)
    batch = batch_axes(xs, lengths, resets, time_major)
    return _run_steps(
        step,
        state,
        xs,
        batch,
        lengths=lengths,
        resets=resets,
        reverse=reverse,
        time_major=time_major,
        unroll=unroll,
        checkpoint=checkpoint,
        truncate=truncate,
        clip_cotangent=clip_cotangent,
    )


def recur_over_maps(
    step: Step,
    state: Any,
    x: Any,
    feature_ndim: int,
    *,
    time_major: bool = False,
    **options: Any,
) -> tuple[Any, Any]:
    """Run `recur` over `x (*batch, T, *features)` with several feature axes.

    Args:
        step: As in `recur`.
        state: As in `recur`.
        x: An array, or a pytree of arrays that all have these axes.
        feature_ndim: Number of feature axes, which says where the time axis is.
        time_major: As in `recur`.
        **options: The other options of `recur`.
    """
    if time_major or feature_ndim == 1:
        return recur(step, state, x, time_major=time_major, **options)
    batch = jnp.shape(jax.tree.leaves(x)[0])[: -1 - feature_ndim]
    return _run_steps(step, state, x, batch, **options)


def _run_steps(
    step: Step,
    state: Any,
    xs: Any,
    batch: tuple[int, ...],
    *,
    time_major: bool = False,
    clip_cotangent: float | None = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Run `recur` over `xs` whose batch axes are known.

    The arrays are `(*batch, time, ...)`, or `(time, *batch, ...)` with `time_major`,
    with any number of feature axes. `options` are the others of `recur`.
    """
    check_clip_cotangent(clip_cotangent)
    xs, state = jax.tree.map(jnp.asarray, (xs, state))
    axis = 0 if time_major else len(batch)
    time = jax.tree.leaves(xs)[0].shape[axis]
    parsed = parse_scan(time, batch, time_major=time_major, **options)
    check_leading("xs", xs, (*batch[:axis], time, *batch[axis:]))
    if parsed.valid is not None or parsed.resets is not None:
        check_leading("state", state, batch)

    # With time first and no lengths the number of batch axes is not known.
    lead = () if time_major and parsed.valid is None else batch

    def bounded_step(state, x_t, _):
        returned = step(bounded_cotangents(state, clip_cotangent), x_t)
        check_returned(returned, state, lead)
        return returned

    with explained(clip_cotangent=clip_cotangent):
        return scan_steps(bounded_step, state, xs, parsed)
