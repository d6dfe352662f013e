"""Two recurrences over one sequence, in both directions of time."""

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
    """Run a recurrence over a sequence in both directions of time.

    `ys[t] = merge(forward[t], backward[t])`, where `forward` are the outputs of
    `run(forward_params, x)`, which depend on the steps up to t, and `backward` those of
    `run(backward_params, x, reverse=True)`, which depend on the steps from t on.

    Args:
        run: `rnn`, `gru`, `lstm`, or a function with the same arguments.
        forward_params: Parameters of the recurrence from the first step to the last.
        backward_params: Parameters of the recurrence from the last step to the first.
        x: Inputs `(*batch, T, D)`, or `(T, *batch, D)` with `time_major`.
        state: Initial states of both directions, `(forward, backward)`; None is zeros.
        merge: How the outputs are combined: "concat" concatenates the features,
            `(*batch, T, 2*H)`; "sum", "mul" and "ave" add, multiply and average them,
            `(*batch, T, H)`; None returns the pair.
        **options: Other options of `run`, the same for both directions, except that
            `key` is split between them. `reverse` is not supported.

    Returns:
        `((forward_state, backward_state), ys)`. The backward state is the one after
        step 0.

    Raises:
        ValueError: If `merge` is unknown, `reverse` is passed, or `run` raises it.
        TypeError: If `state` is not a pair, or `run` raises it.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import bidirectional, init_lstm, lstm
        >>> k1, k2 = jax.random.split(jax.random.key(0))
        >>> forward, backward = init_lstm(k1, 4, 3), init_lstm(k2, 4, 3)
        >>> x, lengths = jnp.ones((2, 5, 4)), jnp.array([5, 2])
        >>> states, ys = bidirectional(lstm, forward, backward, x, lengths=lengths)
        >>> ys.shape
        (2, 5, 6)

    Source: Schuster and Paliwal 1997, "Bidirectional Recurrent Neural Networks". The
    values of `merge` are those of Keras; PyTorch has only "concat". With lengths, the
    outputs at padding are zero in both directions; Flax does not mask them.
    """
    check_callables(run=run)
    if not isinstance(merge, str | None) or merge not in _MERGES:
        names = ", ".join(repr(name) for name in _MERGES)
        raise ValueError(f"`merge` is {merge!r}; wanted one of {names}.")
    if "reverse" in options:
        raise ValueError(
            "`reverse` is not supported by a recurrence in both directions. Leave it "
            "out, or exchange `forward_params` and `backward_params`."
        )
    if state is not None and (not isinstance(state, tuple) or len(state) != 2):
        raise TypeError(
            f"`state` is of type {type(state).__name__}; wanted a pair of states, "
            "(forward, backward), or None."
        )
    forward_options, backward_options = dict(options), dict(options)
    if options.get("key") is not None:
        keys = jax.random.split(options["key"])
        forward_options["key"], backward_options["key"] = keys
    forward_state, backward_state = (None, None) if state is None else state
    forward_state, forward = run(forward_params, x, forward_state, **forward_options)
    backward_state, backward = run(
        backward_params, x, backward_state, reverse=True, **backward_options
    )
    if merge in ("sum", "mul", "ave") and jnp.shape(forward) != jnp.shape(backward):
        raise ValueError(
            f"`merge` is {merge!r}, but the directions return outputs of shapes "
            f"{jnp.shape(forward)} and {jnp.shape(backward)}; wanted equal shapes. "
            "Pass merge='concat' for different ones."
        )
    return (forward_state, backward_state), _MERGES[merge](forward, backward)
