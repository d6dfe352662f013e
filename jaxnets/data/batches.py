"""Mini-batches as rows of indices."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int32

from jaxnets.arguments import as_count
from jaxnets.typing import Key


def epoch_batches(
    key: Key, count: int, batch_size: int
) -> Int32[Array, "steps batch_size"]:
    """Return the indices of one epoch's mini-batches, one batch per row, shuffled.

    The indices `0 ... count - 1` are shuffled and cut into `steps = count //
    batch_size` rows. The `count % batch_size` examples that do not fill a batch are
    left out of this epoch; another key leaves out others. Every batch has the same
    shape, so an epoch can be one `jax.lax.scan` over the rows, with the data on the
    device.

    Args:
        key: A `jax.random.key`, a new one for each epoch.
        count: Number of examples. Static under `jit`.
        batch_size: Number of examples in a batch, 1 to `count`. Static under `jit`.

    Returns:
        Indices (steps, batch_size) int32. No index occurs twice.

    Raises:
        TypeError: If `count` or `batch_size` is not an integer.
        ValueError: If `count` or `batch_size` is below 1, or `batch_size` is above
            `count`.

    Example:
        >>> import jax
        >>> from jaxnets.data import epoch_batches
        >>> epoch_batches(jax.random.key(0), count=7, batch_size=3).shape
        (2, 3)
    """
    as_count(count, "count")
    as_count(batch_size, "batch_size")
    if batch_size > count:
        raise ValueError(
            f"`batch_size` is {batch_size}, but there are only `count` = {count} "
            "examples, too few for one batch. Pass a smaller `batch_size`."
        )
    steps = count // batch_size
    order = jax.random.permutation(key, count)[: steps * batch_size]
    return order.astype(jnp.int32).reshape(steps, batch_size)
