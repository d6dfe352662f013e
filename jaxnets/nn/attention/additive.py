"""Additive attention as a Flax NNX module."""

import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Float, Int

from jaxnets import functional as F
from jaxnets.nn.attention.projections import Projections
from jaxnets.nn.parameters import cast, parameter
from jaxnets.typing import ArrayLike


class AdditiveAttention(Projections):
    """Additive attention: `jaxnets.functional.additive_attention`, with its weights.

    `e_t = v . tanh(W_q q + W_m m_t + b)`, and the context is the average of the memory
    with the weights `softmax(e)`.

    Args:
        query_features: Features of a query, such as the units of a decoder.
        memory_features: D, features of a step of the memory.
        units: A, units of the projections.
        use_bias: Whether to add a bias b.
        kernel_init: Initialiser of `w_q`, `w_m` and `v`.
        bias_init: Initialiser of b.
        dtype: Dtype to compute in; None takes that of inputs and weights.
        param_dtype: Dtype of the weights.
        rngs: Source of randomness; its `params` stream is used.

    Attributes:
        w_q: `(query_features, A)`.
        w_m: `(memory_features, A)`.
        b: `(A,)`, or None.
        v: `(A,)`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a size is below 1, or an input has another number of features.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> attention = nn.AdditiveAttention(5, 3, 4, rngs=nnx.Rngs(0))
        >>> memory, lengths = jnp.ones((2, 7, 3)), jnp.array([7, 2])
        >>> context, weights = attention(jnp.ones((2, 5)), memory, lengths)
        >>> context.shape, weights.shape
        ((2, 3), (2, 7))

    Source: Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to
    Align and Translate", section A.1.2. Keras' `AdditiveAttention` has no projections.
    """

    def __init__(
        self,
        query_features: int,
        memory_features: int,
        units: int,
        *,
        use_bias: bool = True,
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
        self.v = parameter(
            "kernel_init",
            kernel_init,
            (units, 1),
            param_dtype,
            rngs,
            stored_as=(units,),
        )

    def __call__(
        self,
        query: Float[ArrayLike, "*batch_queries query_features"],
        memory: Float[ArrayLike, "*batch time memory_features"],
        lengths: Int[ArrayLike, "*batch"] | None = None,
        *,
        keys: Float[ArrayLike, "*batch time units"] | None = None,
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Return `(context, weights)` as `functional.additive_attention` does.

        Args:
            query: `(*batch, *queries, query_features)`, with any number of axes of
                queries.
            memory: m, `(*batch, T, D)`.
            lengths: Number of real steps of each memory; None means all.
            keys: The result of `keys(memory, lengths)`, to compute it once for many
                calls; None computes it.
        """
        query, k, memory = self._projected(query, memory, lengths, keys)
        (v,) = cast(self.dtype, self.v[...])
        return F.additive_attention(query, k, memory, v, lengths=lengths)
