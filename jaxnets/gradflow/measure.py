"""`measure`: a loss, its gradient, and what passed back through every tap."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.tap import Passage, ResponseStats, TapStats, plain_names, recording


class Flow(NamedTuple):
    """A measured loss.

    Attributes:
        value: The loss, a scalar.
        aux: What the loss returned beside it with `has_aux=True`, otherwise None.
        grads: `dL/dparams`, of the structure of `params`.
        taps: `{name: TapStats}` of every tap that the cotangent reached, in the order
            of the forward pass, which an `OrderedDict` keeps under `jit` too.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import measure
        >>> flow = measure(lambda w: jnp.sum(w**2), jnp.array([3.0, 4.0]))
        >>> flow.value, flow.grads, dict(flow.taps)
        (Array(25., dtype=float32), Array([6., 8.], dtype=float32), {})
    """

    value: jax.Array
    aux: Any
    grads: Any
    taps: dict[str, TapStats]


def measure(
    loss: Callable[..., Any],
    params: Any,
    *args: Any,
    has_aux: bool = False,
    only: str | Sequence[str] | None = None,
) -> Flow:
    """Evaluate `loss(params, *args)`, its gradient, and the statistics of its taps.

    It is `jax.value_and_grad` that also listens: same value, same gradient, and beside
    them one `TapStats` for every `tap` in the loss. Works under `jit`, `vmap` (each
    example its own norms), `scan` (each step its own), `shard_map` (each shard its
    own) and `remat`.

    Args:
        loss: Pure function of `params` and `args` that returns a scalar, or
            `(scalar, aux)` with `has_aux=True`. Split NNX modules first: `nnx.split`
            outside, `nnx.merge` inside.
        params: Pytree to differentiate with respect to.
        *args: Further arguments, passed on unchanged.
        has_aux: Whether `loss` returns `(scalar, aux)`.
        only: Which taps to listen to: a pattern of names with shell wildcards, or
            several; `*` also stands for slashes, and numbers such as `#2` do not
            count. The others are not inserted. None listens to all.

    Returns:
        A `Flow` of value, aux, grads and taps.

    Raises:
        TypeError: If `loss` does not return a real scalar, or `only` is no string and
            no sequence of strings.
        ValueError: If one traced tap is used twice in a way that its calls cannot be
            told apart, or if `only` chooses no tap.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import measure, tap
        >>> def loss(w, xs):
        ...     step = lambda h, x: (tap(jnp.tanh(w * h + x), "h"), None)
        ...     h, _ = jax.lax.scan(step, 0.0, xs)
        ...     return h
        >>> flow = jax.jit(lambda w, xs: measure(loss, w, xs))(0.5, jnp.zeros(4))
        >>> flow.taps["h"].norm  # 0.5 to the power of T - t
        Array([0.125, 0.25 , 0.5  , 1.   ], dtype=float32)

    Source: JAX documentation, "Custom derivatives", logging out of the backward pass.
    It differs from Flax's `nnx.perturb` and `sow` in that no zero input of the
    activation's size is added, and that it works inside a scan with no extra memory.
    """
    return measure_both_ways(loss, params, *args, has_aux=has_aux, only=only)[0]


def responses(
    loss: Callable[..., Any],
    params: Any,
    *args: Any,
    has_aux: bool = False,
    only: str | Sequence[str] | None = None,
) -> dict[str, ResponseStats]:
    """Return what stood at every tap of `loss(params, *args)` on the way forward.

    The means, deviations and shares of the tapped activations, from the same taps that
    `measure` listens to. Only taps on the path from `params` to the loss are seen.

    Args:
        loss: As for `measure`.
        params: As for `measure`.
        *args: Further arguments, passed on unchanged.
        has_aux: Whether `loss` returns `(scalar, aux)`.
        only: As for `measure`.

    Returns:
        `{name: ResponseStats}`.

    Raises:
        TypeError: As `measure`.
        ValueError: As `measure`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import responses, tap
        >>> loss = lambda w: jnp.sum(tap(w * 2.0, "hidden") ** 2)
        >>> responses(loss, jnp.array([3.0, 4.0]))["hidden"].mean
        Array(7., dtype=float32)

    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", section 4.2
    (analysis of layer responses).
    """
    return measure_both_ways(loss, params, *args, has_aux=has_aux, only=only)[1]


def measure_both_ways(
    loss: Callable[..., Any],
    params: Any,
    *args: Any,
    has_aux: bool = False,
    only: str | Sequence[str] | None = None,
) -> tuple[Flow, dict[str, ResponseStats]]:
    """Return what `measure` and `responses` return, from one evaluation of `loss`.

    Args:
        loss: As for `measure`.
        params: As for `measure`.
        *args: Further arguments, passed on unchanged.
        has_aux: Whether `loss` returns `(scalar, aux)`.
        only: As for `measure`.

    Returns:
        `(Flow, {name: ResponseStats})`.

    Raises:
        TypeError: As `measure`.
        ValueError: As `measure`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import measure_both_ways, tap
        >>> loss = lambda w: jnp.sum(tap(w * 2.0, "hidden") ** 2)
        >>> flow, forward = measure_both_ways(loss, jnp.array([3.0, 4.0]))
        >>> flow.taps["hidden"].norm, forward["hidden"].mean
        (Array(20., dtype=float32), Array(7., dtype=float32))
    """
    patterns = _patterns(only)
    with recording(patterns) as names:
        value, pullback, *aux = jax.vjp(
            lambda p: loss(p, *args), params, has_aux=has_aux
        )
        if jnp.shape(value) != () or not jnp.issubdtype(value.dtype, jnp.floating):
            raise TypeError(
                f"`loss` returned an array of shape {jnp.shape(value)} and dtype "
                f"{value.dtype}; wanted one real number. Reduce it with `jnp.mean` or "
                "`jnp.sum`, and return extras through `has_aux=True`."
            )
        try:
            (grads,), logs = pullback.with_logs(jnp.ones_like(value))
        except ValueError as error:
            if "Duplicate backward-pass log key" not in str(error):
                raise
            raise ValueError(
                "A jitted or otherwise cached function with a tap inside is called "
                "more than once in the loss, so its calls cannot be told apart. Put "
                "each call into its own `with jaxnets.gradflow.scope(name):`."
            ) from error
    if patterns is not None and not logs:
        raise ValueError(
            f"`only` is {only!r}, which chooses no tap that the gradient reaches; "
            f"wanted one or more of {', '.join(names) or '(there are no taps)'}."
        )
    passages = plain_names({key: _of_the_branch(log) for key, log in logs.items()})
    # Of a plain dict, jit would return the names in the order of the alphabet.
    taps = OrderedDict((name, both.backward) for name, both in passages.items())
    forward = OrderedDict((name, both.forward) for name, both in passages.items())
    return Flow(value, aux[0] if has_aux else None, grads, taps), forward


def _patterns(only: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the patterns of `only`, None for all taps."""
    if only is None:
        return None
    patterns = (only,) if isinstance(only, str) else tuple(only)
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise TypeError(
            f"`only` is {only!r}; wanted a pattern of names such as '*/h', or a "
            "sequence of them."
        )
    return patterns


def _of_the_branch(log: Any) -> Passage:
    """Return the statistics of the branch that `lax.cond` took, NaN if it has no tap.

    A tap inside of a branch comes back with one slot for each branch: None where the
    branch has no such tap, zeros where it was not taken.
    """
    if isinstance(log, Passage):
        return log
    slots = {
        number: _of_the_branch(slot)
        for number, slot in enumerate(log.branches)
        if slot is not None
    }

    def choose(*values: jax.Array) -> jax.Array:
        chosen = jnp.full_like(values[0], jnp.nan)
        for number, value in zip(slots, values, strict=True):
            # Axes that vmap added inside of the branches come last.
            taken = jnp.expand_dims(
                log.index == number, tuple(range(jnp.ndim(log.index), value.ndim))
            )
            chosen = jnp.where(taken, value, chosen)
        return chosen

    return jax.tree.map(choose, *slots.values())
