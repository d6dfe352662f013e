"""Beam search: the likeliest sequences of a step with a state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jaxnets.arguments import as_array, as_count, check_number
from jaxnets.functional.recurrence.arguments import check_callables
from jaxnets.functional.recurrence.custom_step import Step
from jaxnets.functional.recurrence.custom_step_arguments import (
    check_leading,
    check_returned,
)
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.typing import ArrayLike


class Beams(NamedTuple):
    """The sequences that `beam_search` found, the best first; see its example.

    Attributes:
        tokens: `(*batch, beams, steps)`, int32; after the end of a sequence all are
            `end`.
        scores: `(*batch, beams)`; minus infinity if fewer than `beams` sequences exist.
        lengths: `(*batch, beams)`: the number of tokens, `end` included.
    """

    tokens: Int[Array, "*batch beams steps"]
    scores: Float[Array, "*batch beams"]
    lengths: Int[Array, "*batch beams"]


class _Search(NamedTuple):
    """The state of a search: sequences that go on, and those that have ended.

    Attributes:
        number: Number of tokens of those that go on.
        state: The user's state, with an axis of beams after those of the batch.
        token: The last token of each.
        tokens: All tokens of each, `(*batch, beams, steps)`.
        log_p: Log-probability of each.
        ended: The best sequences that have ended.
    """

    number: jax.Array
    state: Any
    token: jax.Array
    tokens: jax.Array
    log_p: jax.Array
    ended: Beams


def beam_search(
    step: Step,
    state: PyTree,
    first: Int[ArrayLike, "*batch"],
    *,
    beams: int,
    steps: int,
    end: int,
    length_penalty: float = 0.0,
) -> Beams:
    """Search for the sequences with the highest scores that follow `first`.

    A sequence ends with the token `end` or after `steps` tokens. The score of n tokens
    y_1 .. y_n, `end` included, is

        sum over t of log p(y_t | y_{t-1}, ...) / ((5 + n) / 6)^length_penalty

    where p is the softmax of the logits of `step`. Each step continues the `beams`
    likeliest of the sequences that have not ended. The search stops when none of them
    can reach a higher score than the `beams` best that have ended. With as many beams
    as there are sequences it is exact.

    Args:
        step: `step(state, token) -> (state, logits)`, for the whole batch at once: a
            token `(*batch)` and logits `(*batch, V)`. It is called under `jax.vmap`
            over the beams, so it may close over arrays with the batch axes, such as
            the memory of an attention.
        state: The state before `first`. The first axes of each of its arrays are the
            batch axes.
        first: The token before the first one that is searched for, integers `(*batch)`.
            Its shape determines the batch axes.
        beams: Number of sequences to continue, and to return.
        steps: Largest number of tokens.
        end: The token that ends a sequence.
        length_penalty: Exponent of the length, 0 or more. With 0 short sequences have
            the higher scores, because every token lowers the probability.

    Returns:
        The `Beams`: tokens, scores and lengths.

    Raises:
        TypeError: If an argument has the wrong type, or `step` returns other than a
            state like `state` and logits.
        ValueError: If an option is out of range, `end` is not one of the tokens, or an
            array has the wrong batch axes.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import beam_search
        >>> chances = jnp.array([[0.6, 0.4], [0.1, 0.9]])  # of 0 and 1, after 0 and 1
        >>> def step(state, token):
        ...     return state, jnp.log(chances[token])
        >>> found = beam_search(
        ...     step, (), jnp.array(0), beams=2, steps=3, end=1, length_penalty=1.0
        ... )
        >>> found.tokens
        Array([[1, 1, 1],
               [0, 0, 0]], dtype=int32)
        >>> found.lengths  # 0.4 ends at once; 0.6^3 has not ended
        Array([1, 3], dtype=int32)

    Source: Wu et al. 2016, "Google's Neural Machine Translation System", equation 14,
    without the coverage penalty.
    """
    check_callables(step=step)
    beams, steps = as_count(beams, "beams"), as_count(steps, "steps")
    end = as_count(end, "end", minimum=0, meaning="the token that ends a sequence")
    penalty = _penalty(length_penalty)
    first = as_array(first, "first")
    if not jnp.issubdtype(first.dtype, jnp.integer):
        raise TypeError(f"`first` has dtype {first.dtype}; wanted integer tokens.")
    axis, state = first.ndim, jax.tree.map(jnp.asarray, state)
    check_leading("state", state, first.shape)

    def checked_step(state, token):
        returned = step(state, token)
        check_returned(returned, state, first.shape)
        _check_logits(returned[1], first.shape, end)
        return returned

    def repeated(array: jax.Array) -> jax.Array:
        shape = (*array.shape[:axis], beams, *array.shape[axis:])
        return jnp.broadcast_to(jnp.expand_dims(array, axis), shape)

    state, token = jax.tree.map(repeated, (state, first.astype(jnp.int32)))
    every_beam = jax.vmap(checked_step, in_axes=axis, out_axes=axis)
    dtype = jax.eval_shape(every_beam, state, token)[1].dtype
    dtype = accumulation_dtype(dtype)
    rows = (*first.shape, beams)
    blank = jnp.full((*rows, steps), end, jnp.int32)
    none = jnp.full(rows, -jnp.inf, dtype)
    # Before the first step all beams are the same, so only one of them counts.
    alone = jnp.where(jnp.arange(beams) == 0, jnp.zeros((), dtype), none)
    ended = Beams(blank, none, jnp.zeros(rows, jnp.int32))
    search = _Search(jnp.int32(0), state, token, blank, alone, ended)

    def may_improve(search: _Search) -> jax.Array:
        # The most that a sequence can still reach: all its next tokens are certain.
        highest = jnp.max(search.log_p, axis=-1) / penalty(steps)
        lowest = jnp.min(search.ended.scores, axis=-1)
        return (search.number < steps) & jnp.any(highest > lowest)

    def advance(search: _Search) -> _Search:
        return _advance(search, every_beam, end, penalty)

    search = jax.lax.while_loop(may_improve, advance, search)
    lengths = jnp.full(rows, steps, jnp.int32)
    cut = Beams(search.tokens, search.log_p / penalty(steps), lengths)
    return _best(search.ended, cut)


def _advance(search: _Search, every_beam: Any, end: int, penalty: Any) -> _Search:
    """Add a token to every sequence that goes on."""
    state, logits = every_beam(search.state, search.token)
    log_p = jax.nn.log_softmax(logits.astype(search.log_p.dtype))
    log_p = log_p + search.log_p[..., None]
    number, classes = search.number + 1, log_p.shape[-1]
    # The places after the tokens so far hold `end` already.
    scores = log_p[..., end] / penalty(number)
    lengths = jnp.full(scores.shape, number, jnp.int32)
    ended = _best(search.ended, Beams(search.tokens, scores, lengths))
    going_on = log_p.at[..., end].set(-jnp.inf)
    flat = going_on.reshape(*scores.shape[:-1], scores.shape[-1] * classes)
    log_p, places = jax.lax.top_k(flat, scores.shape[-1])
    state, tokens = _taken((state, search.tokens), places // classes)
    token = places % classes
    tokens = tokens.at[..., search.number].set(token)
    return _Search(number, state, token, tokens, log_p, ended)


def _best(one: Beams, two: Beams) -> Beams:
    """Return the best of two lots of sequences; of equal ones the first."""
    axis, count = one.scores.ndim - 1, one.scores.shape[-1]
    joined = jax.tree.map(lambda *a: jnp.concatenate(a, axis=axis), one, two)
    return _taken(joined, jax.lax.top_k(joined.scores, count)[1])


def _taken(tree: Any, places: jax.Array) -> Any:
    """Return the beams at `places (*batch, beams)` of all arrays of `tree`."""
    axis = places.ndim - 1

    def take(array: jax.Array) -> jax.Array:
        index = jnp.expand_dims(places, tuple(range(axis + 1, array.ndim)))
        return jnp.take_along_axis(array, index, axis=axis)

    return jax.tree.map(take, tree)


def _penalty(exponent: Any):
    """Return the function of the length by which a log-probability is divided."""
    wanted = "a finite number of 0 or more, such as 0.6"
    check_number("length_penalty", exponent, wanted)
    if not 0 <= exponent < float("inf"):
        raise ValueError(f"`length_penalty` is {exponent}; wanted {wanted}.")
    return lambda length: ((5 + length) / 6) ** float(exponent)


def _check_logits(logits: Any, batch: tuple[Any, ...], end: int) -> None:
    shape = jnp.shape(logits)
    if len(shape) != len(batch) + 1:
        raise ValueError(
            f"`step` returns logits of shape {shape}; wanted (*batch, classes) for the "
            f"batch axes {batch} of `first`."
        )
    if not jnp.issubdtype(jnp.result_type(logits), jnp.floating):
        raise TypeError("`step` returns logits that are not floating-point numbers.")
    if end >= shape[-1]:
        raise ValueError(
            f"`end` is {end}, and `step` returns logits of {shape[-1]} tokens; wanted "
            f"one of 0 to {shape[-1] - 1}."
        )
