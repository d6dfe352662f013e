"""Whether the classes that tap a module change what the loss computes."""

import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxnets.gradflow.capture.classes import insert_taps


def changes_loss(
    loss: Callable[..., Any], model: Any, *args: Any, **kwargs: Any
) -> bool:
    """Return whether tapping `model` changes what `loss` computes.

    In the copy that `measure_module` measures, each layer has a subclass of its class.
    `isinstance` does not notice it, but a forward pass that asks for
    `type(layer) is nnx.Linear` takes another way. The two programs are traced and
    compared, which computes nothing. If they are not the same, or if the loss cannot be
    traced because it reads values, both are computed.

    Args:
        loss: `loss(model, *args, **kwargs)`, with or without further results.
        model: An `nnx.Module`; it stays as it is.
        *args: Further arguments.
        **kwargs: Keyword arguments of the loss.

    Returns:
        True if the loss with tapped classes is another one.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> by_class = lambda model, x: jnp.sum(model(x)) * (type(model) is nnx.Linear)
        >>> changes_loss(by_class, model, jnp.ones(2))
        True
        >>> changes_loss(lambda model, x: jnp.sum(model(x)), model, jnp.ones(2))
        False
    """
    from flax import nnx

    graphdef, state = nnx.split((model, args, kwargs))

    def run(tapped: bool) -> Callable[[Any], Any]:
        def pure_loss(state):
            copy, copied_args, copied_kwargs = nnx.merge(graphdef, state, copy=True)
            if tapped:
                insert_taps(copy)
            result = loss(copy, *copied_args, **copied_kwargs)
            # What a loss returns beside its value may be anything.
            return result[0] if isinstance(result, tuple) else result

        return pure_loss

    try:
        plain, tapped = (_program(run(tapped), state) for tapped in (False, True))
    except jax.errors.ConcretizationTypeError:
        pass
    else:
        if plain == tapped:
            return False
    plain, tapped = (jax.tree.leaves(run(tapped)(state)) for tapped in (False, True))
    same = lambda a, b: np.array_equal(a, b, equal_nan=True)
    return len(plain) != len(tapped) or not all(map(same, plain, tapped))


def _program(pure_loss: Callable[[Any], Any], state: Any) -> str:
    """Return the traced program as text, without addresses in memory."""
    return re.sub(r"0x[0-9a-f]+", "", str(jax.make_jaxpr(pure_loss)(state)))
