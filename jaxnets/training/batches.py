"""Sources of batches: functions of a key that return the batches of an epoch.

The batches are an argument of the compiled epoch, so the data is never a constant of
the program.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.arguments import as_count, check_callable, check_key
from jaxnets.data import Labelled, epoch_batches
from jaxnets.training.arguments import check_batch, leading_axis


# `batches(key)` returns one epoch: a pytree with the leading axes `(steps, batch)`.
Batches = Callable[[jax.Array], Any]


def shuffled(data: Labelled, batch_size: int) -> Batches:
    """Return batches of `data`, in a new order in each epoch.

    Args:
        data: Examples with a leading axis `(N,)`.
        batch_size: Number of examples in a batch, 1 to N. The `N % batch_size` examples
            that do not fill a batch are left out of the epoch.

    Returns:
        `batches(key) -> Labelled` with the leading axes `(steps, batch_size)`.

    Raises:
        TypeError: If `data` has no `x` and `y`, which are arrays, or `batch_size` is
            not an int.
        ValueError: If `x` and `y` differ in the number of examples, or `batch_size` is
            not between 1 and N.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import shuffled
        >>> batches = shuffled(Labelled(jnp.arange(10.0), jnp.arange(10)), 4)
        >>> batches(jax.random.key(0)).x.shape
        (2, 4)
    """
    check_batch("data", data)
    count = leading_axis("`data`", data, "one row for each example")
    few = f"`data` has {count} examples"
    batch_size = as_count(batch_size, "batch_size", maximum=count, meaning=few)
    data = jax.tree.map(jnp.asarray, data)

    def draw(key: jax.Array) -> Labelled:
        check_key(key)
        rows = epoch_batches(key, count, batch_size)
        return jax.tree.map(lambda array: array[rows], data)

    return draw


def generated(
    make: Callable[[jax.Array, int], Any], steps: int, batch_size: int
) -> Batches:
    """Return batches that `make(key, count)` generates anew for each epoch.

    Args:
        make: Returns a pytree of arrays with a leading axis `(count,)`.
        steps: Number of batches in an epoch.
        batch_size: Number of examples in a batch.

    Returns:
        `batches(key)`, which returns the pytree of `make` with the leading axes
        `(steps, batch_size)`.

    Raises:
        TypeError: If `make` is not a function that returns arrays, or a number is not
            an int.
        ValueError: If a number is below 1, or `make` returns another number of
            examples.

    Example:
        >>> import functools
        >>> import jax
        >>> from jaxnets.data import adding_problem
        >>> from jaxnets.training import generated
        >>> make = functools.partial(adding_problem, length=20)
        >>> generated(make, steps=5, batch_size=8)(jax.random.key(0)).x.shape
        (5, 8, 20, 2)
    """
    check_callable("make", make, "a function `make(key, count)` of batches")
    steps, batch_size = as_count(steps, "steps"), as_count(batch_size, "batch_size")
    count = steps * batch_size

    def draw(key: jax.Array) -> Any:
        check_key(key)
        made = make(key, count)
        found = leading_axis("What `make` returned", made, "one row for each example")
        if found != count:
            raise ValueError(
                f"`make` returned {found} examples; wanted `count`, {count}."
            )
        split = lambda array: array.reshape(steps, batch_size, *array.shape[1:])
        return jax.tree.map(split, made)

    return draw
