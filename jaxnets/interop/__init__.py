"""Other libraries: recurrent weights to and from them, and taps in their models.

`linen_taps` and `haiku_taps` measure models of Linen and Haiku. The other functions
convert weights. They import none of these libraries, whose weights are arrays in the
layout and under the names that each library uses. On our side all functions use one
form, `layers`: a list with one tuple per layer, `(forward,)` or, for a bidirectional
layer, `(forward, backward)`, of `RNNParams`, `GRUParams` or `LSTMParams`.

The conversions are differentiable, so that
`jax.grad(lambda w: loss(from_flax(w, cell)))(w)` is the gradient with respect to the
other library's weights.
"""

from jaxnets.interop.flax import from_flax, to_flax
from jaxnets.interop.haiku import from_haiku, to_haiku
from jaxnets.interop.keras import from_keras, to_keras
from jaxnets.interop.pytorch import from_pytorch, to_pytorch
from jaxnets.interop.taps import haiku_taps, linen_taps


__all__ = [
    "from_flax",
    "from_haiku",
    "from_keras",
    "from_pytorch",
    "haiku_taps",
    "linen_taps",
    "to_flax",
    "to_haiku",
    "to_keras",
    "to_pytorch",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
