"""`solve_in_parallel`: the user's own step over chunks of time side by side."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxnets.arguments import as_count, as_switch, check_number
from jaxnets.functional.recurrence.arguments import check_callables
from jaxnets.functional.recurrence.custom_step import Step, as_arrays, recur
from jaxnets.functional.recurrence.custom_step_arguments import (
    batch_axes,
    check_leading,
    check_returned,
)
from jaxnets.functional.recurrence.parallel.chunks import (
    Chunks,
    Search,
    differentiable,
    divide,
    finish,
    is_inexact,
    join,
    relative_change,
    search_starts,
)
from jaxnets.functional.recurrence.time.compiled import run_traced
from jaxnets.functional.recurrence.time.steps import one_step, shard_as_returned
from jaxnets.tap import is_measuring


class Certificate(NamedTuple):
    """What `solve_in_parallel` knows of its answer; see its example.

    All are arrays of shape (). Sizes are relative: those of a change of an array,
    divided by its largest element.

    Attributes:
        sweeps: Number of sweeps: how often the starts of the chunks were corrected.
        residual: The largest difference between the start of a chunk and the end of the
            one before, in the returned answer. It is measured, not estimated.
        error_bound: 0 if the starts are exact up to rounding: after K-1 sweeps, after
            the fallback, or with a residual of 0. Otherwise an estimate of their error,
            residual / (1 - q), where q is the ratio of the changes of the last two
            sweeps of which the first still changed more than the tolerance; infinite
            unless q is below 1. It is a bound if no chunk multiplies an error by more
            than q, which was measured in the direction of one error.
        exponent: An estimate of the logarithm of the factor by which an error grows in
            a step: log(q) / steps of a chunk. Minus infinity if the later of the two
            sweeps changed nothing; nearer to 0 than it should be where the later change
            is only rounding. There is no q, the exponent is NaN and the bound infinite,
            if no sweep but the last changed more than the tolerance.
        fell_back: Whether the sweeps did not converge, and the rest of the chunks was
            computed one after another.
    """

    sweeps: Int[Array, ""]
    residual: Float[Array, ""]
    error_bound: Float[Array, ""]
    exponent: Float[Array, ""]
    fell_back: Bool[Array, ""]


def solve_in_parallel(
    step: Step,
    state: PyTree,
    xs: PyTree,
    *,
    chunks: int | None = None,
    tolerance: float | None = None,
    max_sweeps: int | None = None,
    time_major: bool = False,
) -> tuple[PyTree, PyTree, Certificate]:
    """Compute `recur(step, state, xs)` in chunks of time that run side by side.

    The T steps are divided into K chunks. With `end_k(b)` for the state at the end of
    chunk k from the start b, the starts solve

        b_1 = state,  b_{k+1} = end_k(b_k)

    All b_k begin as `state`. A sweep runs all chunks from their b_k at once, and makes
    their ends the next starts. The search ends when two sweeps one after another have
    changed the starts by at most `tolerance`, or one has not changed them at all. Then
    a last pass computes `ys`. After s sweeps the first s + 1 starts are exact, so K-1
    sweeps are always enough. A sweep costs as much as the whole sequence, but has only
    T/K steps one after another.

    Where the influence of a state decays like exp(-a t), some 2 + log(1/tolerance) / (a
    T/K) sweeps are needed, so a chunk should be longer than the memory. A network that
    remembers, or is chaotic, needs all K-1. So does a counter in the state, because its
    start is wrong by the steps of the chunks before: put it into `xs`. All this may pay
    for few and long sequences on a chip that a step does not fill; in a chaotic network
    the answer also differs from that of `recur` by the rounding that has grown.

    Derivatives are those of the solution, not of the sweeps: forward and reverse mode
    and second order solve linear equations in the same way, to the same tolerance. They
    are exact after K-1 sweeps too. The certificate has none. Outside of `jax.jit` each
    call that is differentiated compiles.

    Under `jaxnets.gradflow.measure` all steps are computed one after another, so that a
    `tap` inside the step records what it does in `recur`.

    Args:
        step: As in `recur`. It is called under `jax.vmap` over the chunks.
        state: As in `recur`. It is the first guess of all starts.
        xs: As in `recur`.
        chunks: The number K of chunks, at most T; more mean T. None is about sqrt(T).
            If T is not a multiple of K, the first chunk is padded, and K may be lower.
        tolerance: Largest change of a start, relative to the largest element of its
            array, over all chunks and sequences. None is 1e-12 for float64 and 1e-6 for
            float32; for 16 bits, and with them in the state, the spacing of numbers at
            1. With 0 the starts have to stop changing.
        max_sweeps: Number of sweeps after which, unless they converged, the other
            chunks are computed one after another; None is K-1, which never needs this.
            Under `jax.vmap` this takes as long as for the element that needs most.
        time_major: As in `recur`.

    Returns:
        `(state, ys, certificate)`: as from `recur`, and the `Certificate`. A start that
        stays NaN or infinite counts as not converged.

    Raises:
        ValueError: If `xs` has no arrays, too few axes or different numbers of steps,
            or one that is a symbol, or if an option is out of range.
        TypeError: If `step` is not callable or returns another kind of state, if `xs`
            or `state` has a leaf that is no array, or if an option has the wrong type.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import solve_in_parallel
        >>> def leaky(h, x_t):
        ...     h = 0.5 * h + x_t
        ...     return h, h
        >>> x = jnp.ones((1, 300, 1))  # batch, time, features
        >>> h, ys, found = solve_in_parallel(leaky, jnp.zeros((1, 1)), x, chunks=6)
        >>> h
        Array([[2.]], dtype=float32)
        >>> ys.shape, int(found.sweeps), bool(found.fell_back)
        ((1, 300, 1), 2, False)

    Source: multiple shooting; Gander and Vandewalle 2007, "Analysis of the Parareal
    Time-Parallel Time-Integration Method", whose method this is without a coarse
    solver. Lim et al. 2024, "Parallelizing Non-Linear Sequential Models over the
    Sequence Length", solve each step in parallel with Newton's method, which needs the
    Jacobians of all steps. Flax, Keras and PyTorch have neither.
    """
    check_callables(step=step)
    time_major = as_switch(time_major, "time_major")
    xs, state = as_arrays(xs, "xs"), as_arrays(state, "state")
    batch = batch_axes(xs, None, None, time_major)
    axis = 0 if time_major else len(batch)
    time = jax.tree.leaves(xs)[0].shape[axis]
    check_leading("xs", xs, (*batch, time))
    count, length = _division(chunks, time)
    most = count - 1
    if max_sweeps is not None:
        most = min(most, as_count(max_sweeps, "max_sweeps"))
    tolerance = _checked_tolerance(tolerance)
    # The derivatives of the last pass alone are not those that a tap should see.
    if count == 1 or is_measuring() or not jax.tree.leaves(state):
        state, ys = recur(step, state, xs, time_major=time_major)
        return state, ys, _exact(state)

    def checked_step(state, x_t):
        returned = step(state, x_t)
        check_returned(returned, state, batch)
        return returned

    state = shard_as_returned(checked_step, state, xs, axis)
    x_t = one_step(xs, axis)
    # A Python number in the state takes the dtype of the step, as in a scan.
    after, _ = jax.eval_shape(checked_step, state, x_t)
    state = jax.tree.map(_with_dtype, state, after)
    tolerance = _default_tolerance(state) if tolerance is None else tolerance
    # The search has no derivatives, so it may not see what the step closes over.
    pure, closed = jax.closure_convert(checked_step, state, x_t)
    arrays = state, xs, closed
    # Without tracers nothing is differentiated. A root would compile in each call.
    derived = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(arrays))

    def run(state, xs, closed):
        inputs = divide(xs, axis, count, length)
        parts = Chunks(lambda h, x_t: pure(h, x_t, *closed), state, inputs)
        state, inputs, fixed = jax.lax.stop_gradient((state, inputs, closed))
        still = Chunks(lambda h, x_t: pure(h, x_t, *fixed), state, inputs)
        search = search_starts(still, count, tolerance, most)
        fell_back = (search.updates < count - 1) & ~search.converged(tolerance)
        found = finish(still, search, count, fell_back)
        if derived:
            found = differentiable(parts, found, tolerance)
        ends, ys = parts.run(parts.starts(found))
        before = jax.tree.map(lambda a: a[:-1], ends)
        residual = relative_change(*jax.lax.stop_gradient((found, before)))
        certificate = _certified(search, residual, fell_back, count, length)
        state = jax.tree.map(lambda a: a[-1], ends)
        return state, join(ys, axis, time), certificate

    return run_traced(run, *arrays)


def _certified(
    search: Search, residual: Any, fell_back: Any, count: int, length: int
) -> Certificate:
    """Return the certificate of an answer with this residual."""
    q = search.ratio
    estimate = jnp.where(q < 1, residual / (1 - q), jnp.inf)
    exact = (search.updates == count - 1) | fell_back | (residual == 0)
    return Certificate(
        search.updates,
        residual,
        jnp.where(exact, 0, estimate),
        jnp.log(q) / length,
        fell_back,
    )


def _division(chunks: Any, time: Any) -> tuple[int, int]:
    """Return the number of chunks and of steps in each."""
    if not isinstance(time, int):
        raise ValueError(
            f"`xs` has the symbol {time} for the number of steps; wanted a number, "
            "because the steps are divided into chunks. Use `recur` for any number."
        )
    if chunks is None:
        chunks = math.isqrt(time)
    else:
        chunks = as_count(chunks, "chunks", meaning="those that run side by side")
    length = -(-time // max(1, min(chunks, time)))
    return max(1, -(-time // max(1, length))), length


def _with_dtype(a: Any, like: Any) -> Any:
    """Return an array that was a Python number with the dtype of `like`."""
    return a.astype(like.dtype) if getattr(a, "weak_type", False) else a


def _checked_tolerance(tolerance: Any) -> float | None:
    """Return the tolerance that was asked for, or None."""
    if tolerance is None:
        return None
    wanted = "a number from 0 to below 1, such as 1e-6, or None"
    check_number("tolerance", tolerance, wanted)
    if not 0 <= tolerance < 1:
        raise ValueError(f"`tolerance` is {tolerance}; wanted {wanted}.")
    return float(tolerance)


def _default_tolerance(state: Any) -> float:
    """Return the largest change, relative to the size of the state."""
    leaves = filter(is_inexact, jax.tree.leaves(state))
    # float32 without any floats, where any change counts 1.
    found = [jnp.finfo(leaf.dtype) for leaf in leaves] or [jnp.finfo(jnp.float32)]
    return max(max(float(f.eps), 1e-12 if f.bits == 64 else 1e-6) for f in found)


def _exact(state: Any) -> Certificate:
    """Return the certificate of a single pass from the initial state."""
    zero = jnp.zeros_like(relative_change(state, state))
    return Certificate(jnp.int32(0), zero, zero, zero * jnp.nan, jnp.bool_(False))
