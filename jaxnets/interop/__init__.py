"""Recurrent weights to and from PyTorch, Flax, Keras and Haiku.

None of these libraries is imported: their weights are arrays in the layout and under
the names that each of them uses. On our side all functions use one form, `layers`: a
list with one tuple per layer, `(forward,)` or, for a bidirectional layer,
`(forward, backward)`, of `RNNParams`, `GRUParams` or `LSTMParams`.

The functions are differentiable. So `jax.grad(lambda w: loss(from_flax(w, cell)))(w)`
is the gradient with respect to the other library's weights.
"""

from jaxnets.interop.flax import from_flax, to_flax
from jaxnets.interop.haiku import from_haiku, to_haiku
from jaxnets.interop.keras import from_keras, to_keras
from jaxnets.interop.pytorch import from_pytorch, to_pytorch


__all__ = [
    "from_flax",
    "from_haiku",
    "from_keras",
    "from_pytorch",
    "to_flax",
    "to_haiku",
    "to_keras",
    "to_pytorch",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
