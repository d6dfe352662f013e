"""Convolution, pooling and recurrence as pure JAX functions, and their gradient flow.

The packages load when they are first used, so `import jaxnets` does not import JAX:

- `jaxnets.functional`: convolution, pooling and recurrence as pure functions.
- `jaxnets.gradflow`: measures how gradients flow, with theory and verdicts in words.
- `jaxnets.interop`: recurrent weights to and from PyTorch, Flax, Keras and Haiku.
- `jaxnets.nn` and `jaxnets.models`: Flax NNX modules and networks over them.
- `jaxnets.data` and `jaxnets.training`: data sets, and training with Optax.
- `jaxnets.tasks`: what `jaxnets train` trains.
- `jaxnets.studies` and `jaxnets.report`: the contrasts, and the page that shows them.
- `jaxnets.plan`: returns a `Plan`, which says which implementation a call runs and why
  the others do not.

Example:
    >>> import jax.numpy as jnp
    >>> import jaxnets
    >>> image = jnp.arange(16.0).reshape(4, 4, 1)
    >>> jaxnets.functional.max_pool(image, (2, 2))[..., 0]
    Array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
"""

import importlib

from jaxnets._version import __version__ as __version__


# `typing` has the same constant, but its import takes longer than everything else here,
# and the command can handle Ctrl-C only after this file is imported.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from jaxnets import (
        data,
        functional,
        gradflow,
        interop,
        models,
        nn,
        report,
        studies,
        tasks,
        training,
    )
    from jaxnets.choices import Plan, plan

__all__ = [
    "Plan",
    "data",
    "functional",
    "gradflow",
    "interop",
    "models",
    "nn",
    "plan",
    "report",
    "studies",
    "tasks",
    "training",
]


def __getattr__(name: str) -> "Any":
    if name in ("Plan", "plan"):
        return getattr(importlib.import_module("jaxnets.choices"), name)
    if name in __all__:
        return importlib.import_module(f"jaxnets.{name}")
    raise AttributeError(f"module 'jaxnets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
