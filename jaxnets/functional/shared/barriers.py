"""What XLA is kept from fusing."""

import jax
from jaxtyping import Array, Shaped


def computed_once(x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
    """Return `x`; on CPUs, do not let its readers compute it again.

    XLA fuses a chain of elementwise operations into each operation that reads its end.
    Around a convolution, which fuses with nothing on CPUs, the readers of a layer's
    output are the next convolution, the transposes for its gradients, the mask of the
    ReLU and the shortcut: each of them would compute normalisation and ReLU again, in
    a network of residual blocks all the way back to the first one. On accelerators the
    same fusions save memory traffic, so nothing is done there.

    Example:
        >>> import jax.numpy as jnp
        >>> computed_once(jnp.ones(2))
        Array([1., 1.], dtype=float32)
    """
    if jax.default_backend() != "cpu":
        return x
    return jax.lax.optimization_barrier(x)
