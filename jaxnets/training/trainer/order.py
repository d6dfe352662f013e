"""The order of the data: a pure function of the seed and the number of the update."""

import functools

import numpy as np

from jaxnets.arguments import as_count, as_seed


def generator(seed: int, step: int) -> np.random.Generator:
    """Return the random numbers of a step, which depend on seed and step only.

    Example:
        >>> [int(generator(0, 5).integers(100)) for _ in range(2)]
        [44, 44]
    """
    return np.random.Generator(np.random.Philox(key=[seed, step]))


def rows_of_step(seed: int, step: int, count: int, batch_size: int) -> np.ndarray:
    """Return the rows of the batch of a step: each epoch has all rows in a new order.

    The rows depend on the arguments only, so a run that is resumed sees the same rows
    as one that was not stopped. Each epoch leaves out `N % batch_size` rows.

    Args:
        seed: Seed of the order, from 0 to 2^32 - 1.
        step: Number of updates before this one, over all epochs.
        count: Number of rows, N.
        batch_size: Number of rows in a batch, 1 to N.

    Returns:
        Indices, shape `(batch_size,)`.

    Raises:
        TypeError: If an argument is not an int.
        ValueError: If one is out of its range.

    Example:
        Arrays that are larger than the memory stay in their files, of which NumPy reads
        the rows of each batch:

        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from flax import nnx
        >>> from jaxnets.data import Labelled
        >>> from jaxnets.training import Recipe, regression, rows_of_step, train
        >>> recipe = Recipe(steps=4, batch_size=8, learning_rate=0.1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/x.npy", np.ones((20, 2), np.float32))
        ...     np.save(f"{folder}/y.npy", np.ones((20, 1), np.float32))
        ...     x, y = (np.load(f"{folder}/{n}.npy", mmap_mode="r") for n in "xy")
        ...     def batch(step):
        ...         rows = rows_of_step(recipe.seed, step, len(x), recipe.batch_size)
        ...         return Labelled(x[rows], y[rows])
        ...     model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        ...     run = train(model, regression, batch, recipe, Path(folder))
        >>> run.step
        4
    """
    seed, step = as_seed(seed, "seed"), as_count(step, "step", minimum=0)
    count = as_count(count, "count")
    few = f"there are {count} rows"
    batch_size = as_count(batch_size, "batch_size", maximum=count, meaning=few)
    epoch, number = divmod(step, count // batch_size)
    order = _order(seed, epoch, count)
    return order[number * batch_size : (number + 1) * batch_size]


# All batches of an epoch take their rows from one order.
@functools.lru_cache(maxsize=1)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    order = generator(seed, epoch).permutation(count)
    order.setflags(write=False)
    return order
