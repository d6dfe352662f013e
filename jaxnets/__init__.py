"""Convolution, pooling and recurrence as pure JAX functions, and gradient flow seen.

The parts load when they are first used, so that `import jaxnets` costs nothing:

- `jaxnets.functional`: convolution, pooling and recurrence as pure functions.
- `jaxnets.gradflow`: taps, spectra, theory and verdicts on how gradients flow.
- `jaxnets.interop`: recurrent weights to and from PyTorch, Flax, Keras and Haiku.
- `jaxnets.nn` and `jaxnets.models`: Flax NNX modules and networks over them.
- `jaxnets.data`, `jaxnets.training`, `jaxnets.studies`, `jaxnets.report`: data sets,
  training with Optax, the contrasts, and the page that shows them.
- `jaxnets.plan`: which implementation a call runs here, and why no other.

Example:
    >>> import jax.numpy as jnp
    >>> import jaxnets
    >>> image = jnp.arange(16.0).reshape(4, 4, 1)
    >>> jaxnets.functional.max_pool(image, (2, 2))[..., 0]
    Array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
"""

import importlib
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from jaxnets import (
        data,
        functional,
        gradflow,
        interop,
        models,
        nn,
        report,
        studies,
        training,
    )
    from jaxnets.choices import plan

__version__ = "0.1.0"

__all__ = [
    "data",
    "functional",
    "gradflow",
    "interop",
    "models",
    "nn",
    "plan",
    "report",
    "studies",
    "training",
]


def __getattr__(name: str) -> Any:
    if name == "plan":
        from jaxnets.choices import plan

        return plan
    if name in __all__:
        return importlib.import_module(f"jaxnets.{name}")
    raise AttributeError(f"module 'jaxnets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
