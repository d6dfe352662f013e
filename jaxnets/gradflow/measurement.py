"""`measure`: a loss, its gradient, and statistics of both passes at every tap."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from jaxnets.arguments import as_switch, check_callable, list_or_none
from jaxnets.gradflow.logs import select_branch, value_grad_and_logs
from jaxnets.gradflow.trees import check_arrays
from jaxnets.tap import ResponseStats, TapStats, logs_by_name


class Flow(NamedTuple):
    """A loss, its gradient and the statistics of its taps, as `measure` returns them.

    The taps are in the order of the forward pass, which the `OrderedDict`s keep under
    `jit` too. A tap that the cotangent does not reach is left out.

    Attributes:
        value: The loss, a scalar.
        aux: The second result of the loss with `has_aux=True`, otherwise None.
        grads: `dL/dparams`, with the structure of `params`; from `measure_module` what
            `nnx.grad` returns, such as the `nnx.State` of every `nnx.Param`.
        taps: `{name: TapStats}`, the statistics of the cotangent at each tap.
        responses: `{name: ResponseStats}`, the statistics of the tapped array itself.

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
    responses: dict[str, ResponseStats]


def measure(
    loss: Callable[..., Any],
    params: Any,
    *args: Any,
    has_aux: bool = False,
    only: str | Sequence[str] | None = None,
) -> Flow:
    """Evaluate `loss(params, *args)`, its gradient, and the statistics of its taps.

    The value and the gradient are those of `jax.value_and_grad`. In addition there are
    the statistics of the cotangent and of the array itself at every `tap` in the loss.
    Statistics that the caller does not use are not computed under `jit`.

    `measure` works under `jit`, `vmap` (each example has its own statistics), `scan`
    (each step), `shard_map` (each shard) and `remat`. With a `vmap` inside the loss the
    statistics are `(time, examples)` for a loop that JAX differentiates, also `rnn`,
    `gru` and `lstm` with `implementation="scan"`, and `(examples, time)` for those with
    a backward pass of their own, "split" and "in_place". Without `vmap`, for a batch
    that the layer itself takes, they are `(time,)`. If the loss takes derivatives
    itself, as for a force or a Hessian, the statistics are those of the outer gradient.
    A `UserWarning` names the taps that it does not see there: those in `jax.checkpoint`
    and in recurrent layers with a backward pass of their own.

    Outside `jit` only the first call compiles, unless the loss itself compiles
    something. Still, `jax.jit` around the call is faster.

    Args:
        loss: Pure function of `params` and `args` that returns a scalar, or
            `(scalar, aux)` with `has_aux=True`. For NNX modules use `measure_module`,
            or `nnx.split` outside and `nnx.merge` inside.
        params: Pytree to differentiate with respect to.
        *args: Further arguments, passed on unchanged.
        has_aux: Whether `loss` returns `(scalar, aux)`.
        only: Which taps to measure: one or several patterns of names with shell
            wildcards. `*` also matches slashes; numbers such as `#2` are not part of
            the name. The other taps are not inserted. None measures all.

    Returns:
        `Flow(value, aux, grads, taps, responses)`.

    Raises:
        TypeError: If `loss` is not a function that returns a real scalar, or
            `(scalar, aux)` with `has_aux=True`; `params` does not consist of arrays;
            or `only` is neither a string nor a sequence of strings.
        ValueError: If one traced function with a tap is called twice, so that its calls
            cannot be told apart, or if `only` matches no tap.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.gradflow import measure, tap
        >>> def loss(w, xs):
        ...     step = lambda h, x: (tap(w * h + x, "h"), None)
        ...     h, _ = jax.lax.scan(step, 8.0, xs)
        ...     return h
        >>> flow = jax.jit(lambda w, xs: measure(loss, w, xs))(0.5, jnp.zeros(4))
        >>> flow.taps["h"].norm  # 0.5 to the power of T - t
        Array([0.125, 0.25 , 0.5  , 1.   ], dtype=float32)
        >>> flow.responses["h"].mean
        Array([4. , 2. , 1. , 0.5], dtype=float32)

    Source: JAX documentation, "Custom derivatives", logging out of the backward pass;
    He et al. 2015, "Deep Residual Learning for Image Recognition", section 4.2, for the
    analysis of responses. Unlike Flax's `nnx.perturb` and `sow`, it adds no zeros of
    the activation's size, and it needs no extra memory inside a scan.
    """
    check_callable("loss", loss, "a pure function `loss(params, *args)`")
    check_arrays("params", params)
    has_aux = as_switch(has_aux, "has_aux")
    patterns = None if only is None else as_patterns(only, "only")
    value, aux, grads, logs = value_grad_and_logs(loss, params, args, has_aux, patterns)
    if patterns is not None and not logs:
        every = value_grad_and_logs(loss, params, args, has_aux, None).logs
        names = dict.fromkeys(key.name for key in every)
        raise ValueError(
            f"`only` is {only!r}, which matches no tap that the gradient reaches; "
            f"wanted one or more of {', '.join(names) or '(there are no taps)'}."
        )
    by_name = logs_by_name({key: select_branch(log) for key, log in logs.items()})
    # jit returns the keys of a plain dict in alphabetical order.
    taps = OrderedDict((name, log.cotangent) for name, log in by_name.items())
    responses = OrderedDict((name, log.response) for name, log in by_name.items())
    return Flow(value, aux, grads, taps, responses)


def as_patterns(value: Any, name: str) -> tuple[str, ...]:
    """Return one or several patterns of names as a tuple.

    Example:
        >>> as_patterns("*/h", "only")
        ('*/h',)
    """
    patterns = [value] if isinstance(value, str) else list_or_none(value)
    if patterns is None or not all(isinstance(pattern, str) for pattern in patterns):
        raise TypeError(
            f"`{name}` is {value!r}; wanted a pattern of names such as '*/h', or a "
            "sequence of them."
        )
    return tuple(patterns)
