"""One table of pure functions, crossed with JAX's transformations.

Each family lists its cases in `tests/functional/cases_<family>.py`; the crossing is
`tests/functional/test_transforms.py`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """A function of float32 arrays, at small odd sizes and non-zero everything.

    Attributes:
        name: Unique, such as `conv-dilated`.
        function: Takes the arrays, returns an array or a pytree of arrays.
        arrays: Float32 NumPy arguments, all of them differentiable.
        forward_mode: Whether `jax.jvp` is offered (otherwise the error is tested).
        half_precision: Whether bfloat16 and float16 are offered, likewise.
        batched: The batch axis of each array that has one, by its position. Empty if
            the case has no batch, or if examples depend on each other.
        examples: Further arguments with the batch axis first, such as lengths. They are
            the defaults of these keyword arguments of `function`.
    """

    name: str
    function: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    forward_mode: bool = True
    half_precision: bool = True
    batched: Mapping[int, int] = MappingProxyType({0: 0})
    examples: Mapping[str, np.ndarray] = MappingProxyType({})
