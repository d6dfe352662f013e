"""Taps in models of Linen and Haiku: their modules are tapped as those of NNX are.

The libraries are imported when a function is called.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from jaxnets.gradflow.capture.outputs import tap_output
from jaxnets.tap import module_call


@contextlib.contextmanager
def linen_taps() -> Iterator[None]:
    """Tap what the `__call__` of every Linen module returns inside the `with` block.

    Put it around `apply` inside a loss that `measure` differentiates. The name of a tap
    is the path of its module, as in the tree of parameters: `Dense_0`,
    `encoder/Dense_0`; the model itself is `__call__`. Without `measure` nothing is
    added.

    `diagnose` takes an `nnx.Module`. Make one from a Linen module with
    `nnx.bridge.lazy_init(nnx.bridge.ToNNX(module, rngs=rngs), x)`, and call it inside
    the `with` block of the loss.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flax import linen as nn
        >>> from jaxnets.gradflow import measure
        >>> from jaxnets.interop import linen_taps
        >>> model = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(1)])
        >>> x = jnp.ones((2, 3))
        >>> def loss(params):
        ...     with linen_taps():
        ...         return jnp.mean(model.apply(params, x) ** 2)
        >>> list(measure(loss, model.init(jax.random.key(0), x)).taps)
        ['layers_0', 'layers_2', '__call__']

    Source: `flax.linen.intercept_methods`. `capture_intermediates` of Flax stores what
    modules return, not their gradients.
    """
    from flax import linen, nnx

    def intercept(method: Any, arguments: Any, options: Any, context: Any) -> Any:
        if context.method_name != "__call__":
            return method(*arguments, **options)
        module = context.module
        # Cells of Linen and NNX return the same, under the same names of classes.
        cls = getattr(nnx, type(module).__name__, type(module))
        call = lambda: method(*arguments, **options)
        return _tapped(call, tuple(module.path), cls)

    with linen.intercept_methods(intercept):
        yield


@contextlib.contextmanager
def haiku_taps() -> Iterator[None]:
    """Tap what the `__call__` of every Haiku module returns inside the `with` block.

    Put it around `apply` inside a loss that `measure` differentiates. The name of a tap
    is that of its module, as in the dictionary of parameters. Without `measure` nothing
    is added.

    Example:
        Here `haiku.transform` returned `model`, and `model.init` returned `params`:

            def loss(params):
                with haiku_taps():
                    return jnp.mean(model.apply(params, None, x) ** 2)

            measure(loss, params).taps

    Source: `haiku.intercept_methods`.
    """
    import haiku

    def intercept(method: Any, arguments: Any, options: Any, context: Any) -> Any:
        if context.method_name != "__call__":
            return method(*arguments, **options)
        path = tuple(context.module.module_name.split("/"))
        call = lambda: method(*arguments, **options)
        return _tapped(call, path, type(context.module))

    with haiku.intercept_methods(intercept):
        yield


def _tapped(call: Any, path: tuple[str, ...], cls: type) -> Any:
    """Call a module below the scope of its path, and tap what it returns."""
    with module_call(path) as name:
        output = call()
    return tap_output(output, name or "__call__", cls)
