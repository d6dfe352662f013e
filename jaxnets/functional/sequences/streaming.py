"""Generation of a sequence, element by element, by a step with a state."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree, Shaped

from jaxnets.arguments import as_array, as_count, check_callable, check_key
from jaxnets.functional.recurrence.arguments import check_callables
from jaxnets.functional.recurrence.custom_step import Step
from jaxnets.functional.recurrence.custom_step_arguments import check_returned
from jaxnets.functional.sequences.sampling import sample_logits
from jaxnets.typing import ArrayLike, Key


def generate(
    step: Step,
    state: PyTree,
    first: Shaped[ArrayLike, "..."],
    *,
    steps: int,
    key: Key | None = None,
    sample: Callable[..., Any] = sample_logits,
) -> tuple[PyTree, Shaped[Array, "..."]]:
    """Generate a sequence that follows `first`, feeding each sample back to `step`.

        state_t, y_t = step(state_{t-1}, x_t),  x_{t+1} = sample(y_t, key=key_t)

    for t = 0 .. steps - 1, where x_0 is `first`. The step and the state are those of a
    recurrence, so one element costs one step, however long the sequence is. The random
    numbers of an element depend on `key` and t only, so a longer sequence begins as a
    shorter one.

    Args:
        step: `step(state, x_t) -> (state, y_t)`, as in `recur`, for the whole batch at
            once.
        state: The state before `first`, any pytree.
        first: x_0, the last element that is known: ids `(*batch)` of any integer dtype,
            or points `(*batch, features)` in floating point.
        steps: Number of elements to generate.
        key: A JAX random key; None passes None to `sample`.
        sample: `sample(y_t, key=key_t)` returns x_{t+1}, with the shape of `first`.
            Give options by `functools.partial(sample_logits, temperature=0.7)`.

    Returns:
        `(state, xs)`: x_1 to x_steps, ids `(*batch, steps)` or points `(*batch, steps,
        features)` with the dtype of `first`, and the state before x_steps, which was
        not passed to `step` yet. So `generate(step, state, x_steps, key=new_key, ...)`
        continues the sequence.

    Raises:
        TypeError: If `step` or `sample` is not a function, `key` is not a key, `steps`
            is not an int, or the step returns another kind of state.
        ValueError: If `steps` is negative, or `sample` returns another shape.

    Example:
        >>> import functools
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import generate, sample_logits
        >>> def count_up(state, token):  # the likeliest is the next number
        ...     return state + 1, -jnp.abs(jnp.arange(9.0) - token - 1)
        >>> greedy = functools.partial(sample_logits, temperature=0)
        >>> state, tokens = generate(
        ...     count_up, jnp.array(0), jnp.array(2), steps=4, sample=greedy
        ... )
        >>> state, tokens
        (Array(4, dtype=int32, weak_type=True), Array([3, 4, 5, 6], dtype=int32))

    Source: Graves 2013, "Generating Sequences With Recurrent Neural Networks", section
    2. It is `jax.lax.scan` over `step`, with the sample as the next input.
    """
    check_callables(step=step)
    check_callable("sample", sample, "a function `sample(y_t, key=key_t)`")
    steps = as_count(steps, "steps", minimum=0)
    if key is not None:
        check_key(key)
    first = as_array(first, "first")
    state = jax.tree.map(jnp.asarray, state)

    def advance(carry, number):
        state, x = carry
        returned = step(state, x)
        check_returned(returned, state, ())
        state, y = returned
        drawn = sample(y, key=None if key is None else jax.random.fold_in(key, number))
        if jnp.shape(drawn) != first.shape:
            raise ValueError(
                f"`sample` returns shape {jnp.shape(drawn)}; wanted {first.shape}, "
                "that of `first`."
            )
        drawn = jnp.asarray(drawn, first.dtype)
        return (state, drawn), drawn

    (state, _), xs = jax.lax.scan(advance, (state, first), jnp.arange(steps))
    points = jnp.issubdtype(first.dtype, jnp.inexact)
    return state, jnp.moveaxis(xs, 0, first.ndim - 1 if points else first.ndim)
