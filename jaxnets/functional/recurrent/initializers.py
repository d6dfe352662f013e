"""How recurrent weights start: one rule for rnn, gru and lstm, gate by gate.

A contrast of architectures must not be one of initialisers, so all three draw each
gate's block on its own, with the same two rules.
"""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Inexact

from jaxnets.typing import Key


Initializer = jax.nn.initializers.Initializer

# The two rules of all three networks.
input_default: Initializer = jax.nn.initializers.lecun_normal()
recurrent_default: Initializer = jax.nn.initializers.orthogonal()


def init_gates(
    init: Initializer, key: Key, rows: int, columns: int, gates: int, dtype: DTypeLike
) -> Inexact[Array, "{rows} {gates*columns}"]:
    """Draw one `(rows, columns)` block for each gate and put them side by side.

    An orthogonal rule on the fused matrix instead would give each gate's recurrent
    block singular values of 1/sqrt(G), and the cell a different gain from an RNN's.
    Drawn in at least float32 and rounded, since a QR decomposition needs that.
    """
    wide = jnp.float32 if jnp.dtype(dtype).itemsize < 4 else dtype
    blocks = [init(k, (rows, columns), wide) for k in jax.random.split(key, gates)]
    return jnp.concatenate(blocks, axis=1).astype(dtype)


def check_sizes(**sizes: int | None) -> None:
    """Raise ValueError for the first of `sizes` that is below 1."""
    for name, size in sizes.items():
        if size is not None and size < 1:
            raise ValueError(f"`{name}` is {size}; wanted at least 1.")
