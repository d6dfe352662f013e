"""`tap_activations`: taps after the activations of a loss, functions included."""

import functools
from collections.abc import Callable
from typing import Any

from jaxnets.arguments import check_callable
from jaxnets.gradflow.program.replay import Replay
from jaxnets.gradflow.program.tracing import traced_call
from jaxnets.tap import is_measuring


def tap_activations(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return `loss` with a tap after every activation.

    Activations are those of `jax.nn` and `flax.nnx`, `jax.numpy.tanh` and
    `jax.numpy.maximum(x, 0)`, as modules or as plain functions between modules. Their
    taps are named after the last tap before them: `body/3/relu` follows the module
    `body/3`. If the layers of one module meet, the name is the module's, such as
    `attention/softmax` after `attention/query` and `attention/key`. An activation
    whose result is tapped already, such as that of a module, gets no second tap.

    The loss is traced, and its program runs with the taps. They are only there while
    something measures; otherwise the result calls `loss`.

    Args:
        loss: `loss(model, *args)`, for `measure_module`, or a pure function of arrays,
            for `measure`.

    Returns:
        A function with the arguments and the results of `loss`.

    Raises:
        TypeError: If `loss` is not a function.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets.gradflow import measure_module
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> def loss(layers, x):
        ...     return jnp.mean(nnx.relu(layers[0](x)) ** 2)
        >>> model = nnx.List([model])
        >>> list(measure_module(tap_activations(loss), model, jnp.ones((1, 2))).taps)
        ['0', '0/relu']
    """
    check_callable("loss", loss, "a function `loss(model, *args)`")
    return with_replay(loss, Replay())


def with_replay(loss: Callable[..., Any], replay: Replay) -> Callable[..., Any]:
    """Return `loss` as a function that runs its program by `replay`."""

    @functools.wraps(loss)
    def tapped(*args: Any, **options: Any) -> Any:
        if not is_measuring():
            return loss(*args, **options)
        jaxpr, arguments, finish = traced_call(loss, args, options)
        return finish(replay.run(jaxpr, arguments))

    return tapped
