"""`recur`: a scan over time of the user's own step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree, Shaped

from jaxnets.arguments import as_array
from jaxnets.functional.recurrence.arguments import check_callables
from jaxnets.functional.recurrence.custom_step_arguments import (
    batch_axes,
    check_leading,
    check_returned,
)
from jaxnets.functional.recurrence.time.compiled import run_traced
from jaxnets.functional.recurrence.time.cotangents import clip_cotangents
from jaxnets.functional.recurrence.time.options import (
    Masks,
    as_clip_cotangent,
    parse_scan,
    time_first,
)
from jaxnets.functional.recurrence.time.steps import scan_steps, shard_as_returned
from jaxnets.functional.shared.sharding import match_varying_axes, shard_like
from jaxnets.typing import ArrayLike


# A step has the signature of a scan body: step(state, x_t) -> (state, y_t).
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
    """Scan a `step` of your own over time.

    `state_t, y_t = step(state_{t-1}, x_t)` for t = 0 .. T-1, or T-1 .. 0 with
    `reverse`. A step is computed for the whole batch at once, with `x_t (*batch,
    features)`. It may close over parameters, which receive their gradients.

    Args:
        step: `step(state, x_t) -> (state, y_t)`, as the body of `jax.lax.scan`. The
            state that it returns has the structure, shapes and dtypes of `state`.
        state: The initial state, any pytree. With `lengths` or `resets`, the first axes
            of each of its arrays are the batch axes.
        xs: An array, or a pytree of arrays, `(*batch, time, features)`, or
            `(time, *batch, ...)` with `time_major`, where any number of feature axes
            may follow. With T = 0 the final state is the initial one.
        lengths: Integers of shape `batch`, from 0 to T: the number of steps of each
            sequence that are real; the others are padding. At padding the state does
            not change, `ys` is zero, and `xs` is replaced by zero, so its values there,
            even NaN, reach no result and no gradient. The final state is the one after
            the last real step; with length 0 it is the initial state. Only the shape is
            checked, since the values stay on the device.
        resets: Booleans `(*batch, time)`, or `(time, *batch)` with `time_major`. Where
            one is true, the step starts from the initial state. At padding they have no
            effect.
        reverse: Whether the last step is computed first; with `lengths`, the last real
            step of each sequence. `ys[t]` still belongs to `xs[t]`, and the final state
            is the one after step 0.
        time_major: Whether time is the first axis of `xs`, `ys` and `resets`.
        unroll: Number of steps in one iteration of the compiled loop. More steps mean
            less overhead and a larger program.
        checkpoint: None stores the residuals of every step. An int k stores the state
            at every k-th step and recomputes the rest in the backward pass. "sqrt" is k
            = sqrt(T), which needs O(sqrt(T)) memory.
        truncate: An int k divides the steps into windows of k, in the order in which
            they are computed and without padding, and applies `stop_gradient` to the
            state between two windows. So a cotangent passes through at most k steps.
            None is one window. Values do not change.
        clip_cotangent: Bound of each element of the state's cotangent, which is clipped
            after every step of the backward pass; None means no bound. With a bound,
            forward mode is not supported, since the result is not a derivative.

    Returns:
        `(state, ys)`: the final state, and all `y_t`, with time on the same axis as in
        `xs`.

    Raises:
        ValueError: If `xs` has no arrays, too few axes or different numbers of steps,
            if `lengths`, `resets` or `state` do not match its batch axes, or if an
            option is out of range.
        TypeError: If `step` is not callable, `lengths` are not integers, or `resets`
            are not booleans.

    A `tap` inside the step records statistics of shape `(time,)` under
    `jaxnets.gradflow.measure`; element t belongs to `xs[t]`, also with `reverse`. With
    `checkpoint` their shape is `(segments, steps)`, and if the last segment is shorter,
    its statistics have the tap's name with the prefix `rest/`.

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

        To mask arbitrary steps, pass the mask in `xs` and keep the state where it is
        false:

        >>> def observed(h, inputs):
        ...     x_t, seen_t = inputs
        ...     h = jnp.where(seen_t, leaky(h, x_t)[0], h)
        ...     return h, h
        >>> seen = jnp.array([[True, False, True], [False, True, False]])[..., None]
        >>> recur(observed, jnp.zeros((2, 1)), (x, seen))[1][..., 0]
        Array([[1. , 1. , 1.5],
               [0. , 1. , 1. ]], dtype=float32)

    Source: `checkpoint` is Chen et al. 2016, "Training Deep Nets with Sublinear Memory
    Cost". Compared with `jax.lax.scan`, it adds lengths, resets, checkpoints and
    truncation. Flax's `nnx.RNN` does not mask outputs at padding, and returns the state
    after the last step for a sequence of length 0; Keras repeats the last output at
    padding, and `go_backwards` returns the outputs in reverse order; PyTorch packs
    sequences by their lengths on the host.
    """
    check_callables(step=step)
    xs = as_arrays(xs, "xs")
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
    """Run `recur` over inputs with several feature axes, `x (*batch, T, *features)`.

    Args:
        step: As in `recur`.
        state: As in `recur`.
        x: An array, or a pytree of arrays that all have these axes.
        feature_ndim: Number of feature axes, which determines the time axis.
        time_major: As in `recur`.
        **options: The other options of `recur`.
    """
    if time_major or feature_ndim == 1:
        return recur(step, state, x, time_major=time_major, **options)
    x = as_arrays(x, "x")
    batch = jnp.shape(jax.tree.leaves(x)[0])[: -1 - feature_ndim]
    return _run_steps(step, state, x, batch, **options)


def _run_steps(
    step: Step,
    state: Any,
    xs: Any,
    batch: tuple[Any, ...],
    *,
    time_major: bool = False,
    clip_cotangent: float | None = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Run `recur` over `xs` with known batch axes.

    The arrays of `xs` are `(*batch, time, ...)`, or `(time, *batch, ...)` with
    `time_major`, with any number of feature axes. `options` are the other options of
    `recur`.
    """
    clip_cotangent = as_clip_cotangent(clip_cotangent)
    state = as_arrays(state, "state")
    first, axis = jax.tree.leaves(xs)[0], 0 if time_major else len(batch)
    check_leading("xs", xs, (*batch[:axis], first.shape[axis], *batch[axis:]))
    parsed = parse_scan(first, batch, time_major=time_major, **options)
    if parsed.valid is not None or parsed.resets is not None:
        check_leading("state", state, batch)
        state = shard_like(state, first, time_first(axis, len(batch))[1:])

    # With time first and without lengths, the number of batch axes is not known.
    lead = () if time_major and parsed.valid is None else batch

    def bounded_step(state, x_t, _):
        returned = step(clip_cotangents(state, clip_cotangent), x_t)
        check_returned(returned, state, lead)
        return returned

    state, masks = match_varying_axes(state, parsed.masks)
    without_draws = lambda h, x_t: bounded_step(h, x_t, None)
    state = shard_as_returned(without_draws, state, xs, axis)

    def run(state, xs, masks: Masks) -> tuple[Any, Any]:
        return scan_steps(bounded_step, state, xs, parsed._replace(**masks._asdict()))

    return run_traced(run, state, xs, masks)


def as_arrays(tree: PyTree, name: str) -> PyTree:
    """Return a tree of arrays; random keys stay as they are.

    Raises:
        TypeError: If a leaf, which is called `name`, is no array.
    """

    def parsed(leaf: Any) -> Any:
        is_key = jnp.issubdtype(getattr(leaf, "dtype", float), jax.dtypes.extended)
        return leaf if is_key else as_array(leaf, name)

    return jax.tree.map(parsed, tree)
