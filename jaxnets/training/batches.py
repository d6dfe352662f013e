"""Where the batches of an epoch come from: functions of a key.

An epoch is drawn before its compiled call and handed to it, so that data is never a
constant of the program.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.data import Labelled, epoch_batches


# `batches(key)` returns an epoch: a pytree with leading axes `(steps, batch)`.
Batches = Callable[[jax.Array], Any]


def shuffled(data: Labelled, batch_size: int) -> Batches:
    """Take `data` in batches, in a new order each epoch.

    Args:
        data: Examples with a leading axis `(N,)`.
        batch_size: Examples in a batch, 1 to N; a rest that fills no batch is left out
            of the epoch.

    Returns:
        `batches(key) -> Labelled` with leading axes `(steps, batch_size)`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import shuffled
        >>> batches = shuffled(Labelled(jnp.arange(10.0), jnp.arange(10)), 4)
        >>> batches(jax.random.key(0)).x.shape
        (2, 4)
    """
    data = jax.tree.map(jnp.asarray, data)

    def draw(key: jax.Array) -> Labelled:
        rows = epoch_batches(key, len(data.y), batch_size)
        return jax.tree.map(lambda array: array[rows], data)

    return draw


def generated(
    make: Callable[[jax.Array, int], Any], steps: int, batch_size: int
) -> Batches:
    """Make the batches anew each epoch with `make(key, count)`.

    Args:
        make: Returns a pytree with a leading axis `(count,)`.
        steps: Batches in an epoch.
        batch_size: Examples in a batch.

    Returns:
        `batches(key)`, what `make` returns with leading axes `(steps, batch_size)`.

    Example:
        >>> import functools
        >>> import jax
        >>> from jaxnets.data import adding_problem
        >>> from jaxnets.training import generated
        >>> make = functools.partial(adding_problem, length=20)
        >>> generated(make, steps=5, batch_size=8)(jax.random.key(0)).x.shape
        (5, 8, 20, 2)
    """

    def draw(key: jax.Array) -> Any:
        split = lambda array: array.reshape(steps, batch_size, *array.shape[1:])
        return jax.tree.map(split, make(key, steps * batch_size))

    return draw
