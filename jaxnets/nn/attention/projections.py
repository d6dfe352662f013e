"""The projections of queries and memories that the layers of attention share."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from jaxnets.arguments import as_array
from jaxnets.functional.sequences.attention import real_steps, zero_at_padding
from jaxnets.functional.shared.bias import add_bias
from jaxnets.nn.module import Module
from jaxnets.nn.parameters import (
    as_float_or_none,
    bias_or_none,
    cast,
    check_counts,
    parameter,
    value_or_none,
)
from jaxnets.typing import ArrayLike


class Projections(Module):
    """The projections of a query and of a memory to the same units.

    Attributes:
        w_q: `(query_features, A)`.
        w_m: `(memory_features, A)`.
        b: `(A,)`, or None: the bias of the keys.
    """

    def __init__(
        self,
        query_features: int,
        memory_features: int,
        units: int,
        use_bias: bool,
        kernel_init: nnx.Initializer,
        bias_init: nnx.Initializer,
        dtype: Any,
        param_dtype: Any,
        rngs: nnx.Rngs,
    ):
        check_counts(
            query_features=query_features, memory_features=memory_features, units=units
        )
        self.dtype = as_float_or_none(dtype)
        draw = lambda features: parameter(
            "kernel_init", kernel_init, (features, units), param_dtype, rngs
        )
        self.w_q, self.w_m = draw(query_features), draw(memory_features)
        self.b = bias_or_none(use_bias, bias_init, units, param_dtype, rngs)

    def keys(
        self,
        memory: Float[ArrayLike, "*batch time memory_features"],
        lengths: Int[ArrayLike, "*batch"] | None = None,
    ) -> Float[Array, "*batch time units"]:
        """Return the keys of a memory, `W_m m + b`, for all steps of a decoder.

        Args:
            memory: `(*batch, T, memory_features)`.
            lengths: Number of real steps of each memory; None means all.
        """
        memory = _features("memory", memory, self.w_m)
        memory, w_m, b = cast(self.dtype, memory, self.w_m[...], value_or_none(self.b))
        memory = as_array(memory, "memory")
        # A NaN at padding would reach the gradient of the weights.
        keys = zero_at_padding(memory, real_steps(memory, lengths)) @ w_m
        return add_bias(keys, b)

    def _projected(
        self, query: Any, memory: Any, lengths: Any, keys: Any
    ) -> tuple[Any, Any, Any]:
        """Return the projected query, the keys and the memory."""
        if keys is None:
            keys = self.keys(memory, lengths)
        query = _features("query", query, self.w_q)
        query, w_q, memory = cast(self.dtype, query, self.w_q[...], memory)
        return as_array(query, "query") @ w_q, keys, memory


def _features(name: str, x: Any, kernel: nnx.Param) -> Any:
    """Return an input after checking its features, which are its last axis."""
    shape, wanted = jnp.shape(x), kernel[...].shape[0]
    if not shape or shape[-1] != wanted:
        raise ValueError(
            f"`{name}` has shape {shape}; wanted {wanted} features on its last axis, "
            f"the `{name}_features` of this layer."
        )
    return x
