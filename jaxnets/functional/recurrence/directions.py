"""Two recurrences over one sequence, the second of which reads it backwards."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Num, PyTree, Shaped

from jaxnets.functional.recurrence.arguments import check_callables
from jaxnets.typing import ArrayLike


_MERGES: dict[str | None, Callable[[Array, Array], Any]] = {
    "concat": lambda forward, backward: jnp.concatenate([forward, backward], -1),
    "sum": jnp.add,
    "mul": jnp.multiply,
    "ave": lambda forward, backward: (forward + backward) / 2,
    None: lambda forward, backward: (forward, backward),
}


def bidirectional(
    run: Callable[..., tuple[Any, Any]],
    forward_params: Any,
    backward_params: Any,
    x: Num[ArrayLike, "*batch_time_features"],
    state: Any = None,
    *,
    merge: str | None = "concat",
    **options: Any,
) -> tuple[tuple[Any, Any], PyTree[Shaped[Array, "..."]]]:
    """Read a sequence in both directions.

    `ys[t] = merge(forward[t], backward[t])`. Here `forward = run(forward_params, x)`
    has read the steps up to t, and `backward = run(backward_params, x, reverse=True)`
    has read the steps from t on; with `lengths`, the real ones.

    Args:
        run: `rnn`, `gru`, `lstm`, or a function with the same arguments.
        forward_params: Its parameters from the first step to the last.
        backward_params: Its parameters from the last step to the first.
        x: `(*batch, T, D)`, or `(T, *batch, D)` with `time_major`.
        state: Initial states of both directions, as a pair; None is zeros.
        merge: "concat" puts the features side by side, `(*batch, T, 2*H)`; "sum", "mul"
            and "ave" add, multiply and average them, `(*batch, T, H)`; None returns
            both as a pair.
        **options: Cell and scan options of `run`, the same for both directions; `key`
            is split between them. `reverse` is not among them.

    Returns:
        `((forward_state, backward_state), ys)`. The backward state is the one after
        step 0.

    Raises:
        ValueError: If `merge` is unknown, `reverse` is given, or `run` raises it.
        TypeError: If `state` is not a pair, or `run` raises it.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import bidirectional, init_lstm, lstm
        >>> k1, k2 = jax.random.split(jax.random.key(0))
        >>> there, back = init_lstm(k1, 4, 3), init_lstm(k2, 4, 3)
        >>> x, lengths = jnp.ones((2, 5, 4)), jnp.array([5, 2])
        >>> (h, h_back), ys = bidirectional(lstm, there, back, x, lengths=lengths)
        >>> ys.shape
        (2, 5, 6)

    Source: Schuster and Paliwal 1997, "Bidirectional Recurrent Neural Networks". The
    merges are those of Keras; PyTorch has "concat" only. With lengths, Flax leaves
    outputs at padding as they come; here they are zero in both directions.
    """
    check_callables(run=run)
    if not isinstance(merge, str | None) or merge not in _MERGES:
        names = ", ".join(repr(name) for name in _MERGES)
        raise ValueError(f"`merge` is {merge!r}; wanted one of {names}.")
    if "reverse" in options:
        raise ValueError(
            "`reverse` has no meaning here: both directions are read. Leave it out, or "
            "exchange `forward_params` and `backward_params`."
        )
    if state is not None and (not isinstance(state, tuple) or len(state) != 2):
        raise TypeError(
            f"`state` is of type {type(state).__name__}; wanted a pair of states, "
            "(forward, backward), or None."
        )
    there, back = dict(options), dict(options)
    if options.get("key") is not None:
        there["key"], back["key"] = jax.random.split(options["key"])
    state_there, state_back = (None, None) if state is None else state
    forward_state, forward = run(forward_params, x, state_there, **there)
    backward_state, backward = run(backward_params, x, state_back, reverse=True, **back)
    if merge in ("sum", "mul", "ave") and jnp.shape(forward) != jnp.shape(backward):
        raise ValueError(
            f"`merge` is {merge!r}, but the directions return outputs of shapes "
            f"{jnp.shape(forward)} and {jnp.shape(backward)}; wanted equal ones, or "
            "merge='concat'."
        )
    return (forward_state, backward_state), _MERGES[merge](forward, backward)
