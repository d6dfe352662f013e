"""One table of pure functions, crossed with JAX's transformations.

Each family lists its cases in `tests/functional/cases_<family>.py`; the crossing is
`tests/functional/test_transforms.py`.
"""

from collections.abc import Callable
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
    """

    name: str
    function: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    forward_mode: bool = True
    half_precision: bool = True
