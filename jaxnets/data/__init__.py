"""Data sets and tasks as arrays.

Real images (`digits`, `mnist`, `cifar10`) come as `Splits` of NumPy arrays. Generated
long-memory tasks (`adding_problem`, `copy_memory`) are pure functions of a key.
"""

from jaxnets.data.batches import epoch_batches
from jaxnets.data.cifar10_files import cifar10
from jaxnets.data.memory_tasks import adding_problem, copy_memory
from jaxnets.data.mnist_files import mnist
from jaxnets.data.scikit_digits import digits, digits_by_pixel
from jaxnets.data.splits import Labelled, Splits


__all__ = [
    "Labelled",
    "Splits",
    "adding_problem",
    "cifar10",
    "copy_memory",
    "digits",
    "digits_by_pixel",
    "epoch_batches",
    "mnist",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
