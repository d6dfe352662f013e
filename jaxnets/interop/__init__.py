"""Recurrent weights to and from PyTorch, Flax, Keras and Haiku.

None of these libraries is imported: their weights come and go as arrays in the layout
and under the names that each of them uses. On our side there is one form for all,
`layers`: a list with one tuple a layer, `(forward,)`, or `(forward, backward)` where it
is bidirectional, of `RNNParams`, `GRUParams` or `LSTMParams`.

The functions are differentiable, so gradients with respect to the other library's
weights come by the chain rule: `jax.grad(lambda w: loss(from_flax(w, cell)))(w)`.
"""

from jaxnets.interop.flax import from_flax as from_flax
from jaxnets.interop.flax import to_flax as to_flax
from jaxnets.interop.haiku import from_haiku as from_haiku
from jaxnets.interop.haiku import to_haiku as to_haiku
from jaxnets.interop.keras import from_keras as from_keras
from jaxnets.interop.keras import to_keras as to_keras
from jaxnets.interop.pytorch import from_pytorch as from_pytorch
from jaxnets.interop.pytorch import to_pytorch as to_pytorch
