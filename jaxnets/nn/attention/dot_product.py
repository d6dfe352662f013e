"""Dot-product attention as a Flax NNX module."""

import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Float, Int

from jaxnets import functional as F
from jaxnets.nn.attention.projections import Projections
from jaxnets.nn.options import check_range, frozen
from jaxnets.typing import ArrayLike


class DotProductAttention(Projections):
    """Dot-product attention: `jaxnets.functional.dot_product_attention`, projected.

    `e_t = scale (W_q q) . (W_m m_t + b)`, and the context is the average of the memory
    with the weights `softmax(e)`. For attention without projections, call the function
    itself.

    Args:
        query_features: Features of a query, such as the units of a decoder.
        memory_features: D, features of a step of the memory.
        units: A, units of the projections.
        scale: Factor of the scores; None is `1 / sqrt(A)`.
        use_bias: Whether the projection of the memory has a bias b.
        kernel_init: Initialiser of `w_q` and `w_m`.
        bias_init: Initialiser of b.
        dtype: Dtype to compute in; None takes that of inputs and weights.
        param_dtype: Dtype of the weights.
        rngs: Source of randomness; its `params` stream is used.

    Attributes:
        w_q: `(query_features, A)`.
        w_m: `(memory_features, A)`.
        b: `(A,)`, or None.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a size is below 1, or an input has another number of features.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> attention = nn.DotProductAttention(5, 3, 4, rngs=nnx.Rngs(0))
        >>> memory, queries = jnp.ones((2, 7, 3)), jnp.ones((2, 6, 5))
        >>> context, weights = attention(queries, memory)
        >>> context.shape, weights.shape
        ((2, 6, 3), (2, 6, 7))

    Source: Luong et al. 2015, "Effective Approaches to Attention-based Neural Machine
    Translation", section 3.1: the score "general" is `q^T W m_t`, where here W is the
    product of two projections. Vaswani et al. 2017, "Attention Is All You Need", have
    the scale and project the values too, as `nnx.MultiHeadAttention` does.
    """

    def __init__(
        self,
        query_features: int,
        memory_features: int,
        units: int,
        *,
        scale: float | None = None,
        use_bias: bool = False,
        kernel_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        bias_init: nnx.Initializer = initializers.zeros_init(),  # noqa: B008
        dtype=None,
        param_dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            query_features,
            memory_features,
            units,
            use_bias,
            kernel_init,
            bias_init,
            dtype,
            param_dtype,
            rngs,
        )
        if scale is not None:
            check_range(scale, "scale", 0, meaning="or None for 1 / sqrt(units)")
        self.scale = frozen(scale)

    def __call__(
        self,
        query: Float[ArrayLike, "*batch_queries query_features"],
        memory: Float[ArrayLike, "*batch time memory_features"],
        lengths: Int[ArrayLike, "*batch"] | None = None,
        *,
        keys: Float[ArrayLike, "*batch time units"] | None = None,
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Return `(context, weights)` as `functional.dot_product_attention` does.

        Args:
            query: `(*batch, *queries, query_features)`.
            memory: m, `(*batch, T, D)`.
            lengths: Number of real steps of each memory; None means all.
            keys: The result of `keys(memory, lengths)`, to compute it once for many
                calls; None computes it.
        """
        query, k, memory = self._projected(query, memory, lengths, keys)
        return F.dot_product_attention(
            query, k, memory, lengths=lengths, scale=self.scale
        )
