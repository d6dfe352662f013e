"""`measure`: a loss, its gradient, and what passed back through every tap."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from jaxnets.gradflow.logs import of_the_branch, traced
from jaxnets.tap import ResponseStats, TapStats, plain_names


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
    found = traced(loss, params, args, has_aux, patterns, unshared=False)
    if found is None:
        found = traced(loss, params, args, has_aux, patterns, unshared=True)
    if found is None:
        raise ValueError(
            "A jitted or otherwise cached function with a tap inside is called more "
            "than once in the loss, so its calls cannot be told apart. Put each call "
            "into its own `with jaxnets.gradflow.scope(name):`."
        )
    value, aux, grads, logs, names = found
    if patterns is not None and not logs:
        raise ValueError(
            f"`only` is {only!r}, which chooses no tap that the gradient reaches; "
            f"wanted one or more of {', '.join(names) or '(there are no taps)'}."
        )
    passages = plain_names({key: of_the_branch(log) for key, log in logs.items()})
    # Of a plain dict, jit would return the names in the order of the alphabet.
    taps = OrderedDict((name, both.backward) for name, both in passages.items())
    forward = OrderedDict((name, both.forward) for name, both in passages.items())
    return Flow(value, aux, grads, taps), forward


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
