"""The image data sets that a study can use, by name."""

import functools

from jaxnets import data
from jaxnets.runs.catalogue import DATASETS, SCALES


@functools.cache
def load(name: str) -> data.Splits:
    """Return the splits of the data set `name`. Its files are read only once.

    Raises:
        ValueError: If the name is unknown.
        FileNotFoundError: If the files of MNIST or CIFAR-10 are missing.
    """
    loaders = {"digits": data.digits, "mnist": data.mnist, "cifar10": data.cifar10}
    if name not in loaders:
        raise ValueError(f"`dataset` is {name!r}; wanted one of {', '.join(DATASETS)}.")
    return loaders[name]()


def first(splits: data.Splits, count: int | None) -> data.Splits:
    """Return `splits` with the first `count` training examples; None keeps all."""
    x, y = splits.train
    return splits._replace(train=data.Labelled(x[:count], y[:count]))


def default_dataset(scale: str) -> str:
    """Return the default data set: CIFAR-10 for accelerators if its files are present.

    Args:
        scale: `smoke`, `laptop`, `hour` or `accelerator`.

    Returns:
        `digits` or `cifar10`.

    Raises:
        ValueError: If `scale` is none of them.

    Example:
        >>> from jaxnets.studies import default_dataset
        >>> default_dataset("laptop")
        'digits'
    """
    if scale not in SCALES:
        raise ValueError(f"`scale` is {scale!r}; wanted one of {', '.join(SCALES)}.")
    if scale != "accelerator":
        return "digits"
    try:
        load("cifar10")
    except FileNotFoundError:
        return "digits"
    return "cifar10"
