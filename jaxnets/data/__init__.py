"""Data sets and tasks as arrays.

Real images (`digits`, `mnist`, `cifar10`) come as `Splits` of NumPy arrays; generated
long-memory tasks (`adding_problem`, `copy_memory`) are pure functions of a key.
"""

from jaxnets.data.batches import epoch_batches as epoch_batches
from jaxnets.data.cifar10_files import cifar10 as cifar10
from jaxnets.data.memory_tasks import adding_problem as adding_problem
from jaxnets.data.memory_tasks import copy_memory as copy_memory
from jaxnets.data.mnist_files import mnist as mnist
from jaxnets.data.scikit_digits import digits as digits
from jaxnets.data.scikit_digits import digits_by_pixel as digits_by_pixel
from jaxnets.data.splits import Labelled as Labelled
from jaxnets.data.splits import Splits as Splits
