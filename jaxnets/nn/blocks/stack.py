"""Equal blocks in sequence, as one scan."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from jaxnets.arguments import as_array, as_count, described
from jaxnets.nn.inputs import check_preserved
from jaxnets.nn.module import CompiledModule
from jaxnets.nn.options import stream
from jaxnets.typing import ArrayLike


# A loop copies the residuals of every step into arrays of all steps; a short stack is
# unrolled to avoid that.
_MAX_UNROLLED = 4


class Stack(CompiledModule):
    """Equal blocks in sequence, applied by a scan, so depth adds no compile time.

    A stack of up to four blocks is unrolled, which avoids copying the residuals of
    every block into stacked arrays. In both cases taps inside the blocks get an axis
    `(layers,)`.

    Args:
        make_block: Function that makes one block from an `nnx.Rngs`.
        count: Number of blocks, at least 1.
        rngs: Source of randomness; its `params` stream is split between the blocks.

    Attributes:
        blocks: One block whose parameters have a leading axis of length `count`.

    Raises:
        TypeError: If `count` is not an int, or `make_block` does not make a module.
        ValueError: If `count` is below 1; in a call, if a block changes the shape or
            the dtype of its input.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> make = lambda rngs: nn.PlainBlock(4, 4, rngs=rngs)
        >>> stack = nn.Stack(make, 3, rngs=nnx.Rngs(0))
        >>> stack.blocks.branch.first.kernel.shape
        (3, 3, 3, 4, 4)
        >>> stack(jnp.ones((2, 8, 8, 4))).shape
        (2, 8, 8, 4)
    """

    def __init__(
        self,
        make_block: Callable[[nnx.Rngs], nnx.Module],
        count: int,
        *,
        rngs: nnx.Rngs,
    ):
        count = as_count(count, "count", meaning="the number of blocks")
        if not callable(make_block) or isinstance(make_block, nnx.Module):
            raise TypeError(
                f"`make_block` is {described(make_block)}; wanted a function that "
                "makes a block, such as `lambda rngs: nn.PlainBlock(8, 8, rngs=rngs)`."
            )
        definitions: list[Any] = []

        def make_state(key: jax.Array) -> Any:
            block = make_block(nnx.Rngs(key))
            if not isinstance(block, nnx.Module):
                raise TypeError(
                    f"`make_block` returns {described(block)}; wanted an `nnx.Module`."
                )
            definition, state = nnx.split(block)
            definitions.append(definition)
            return state

        states = jax.vmap(make_state)(jax.random.split(stream(rngs, "params")(), count))
        self.blocks = nnx.merge(definitions[-1], states)
        for _, variable in nnx.iter_graph(self.blocks):
            if isinstance(variable, nnx.Variable):
                # The first axis of a parameter is now that of the blocks.
                sharding = variable.get_metadata().get("out_sharding")
                if sharding:
                    variable.set_metadata(out_sharding=(None, *sharding))
        self.count = count

    def __call__(
        self, x: Float[ArrayLike, "*shape"], *block_arguments
    ) -> Float[Array, "*shape"]:
        """Apply the blocks to `x` one after the other; each preserves its shape.

        Args:
            x: Input of the first block.
            *block_arguments: Further arguments, passed to every block.
        """
        x = as_array(x, "x")
        definition, params, rest = nnx.split(self.blocks, nnx.Param, ...)

        def apply(x, states):
            block = nnx.merge(definition, *states)
            y = block(x, *block_arguments)
            check_preserved(x, y)
            return y, nnx.split(block, nnx.Param, ...)[2]

        short = self.count <= _MAX_UNROLLED
        y, rest = jax.lax.scan(apply, x, (params, rest), unroll=short)
        nnx.update(self.blocks, rest)
        return y
