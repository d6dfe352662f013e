"""Equal blocks in sequence, as one scan."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from jaxnets.arguments import as_array, as_count, described, int_or_none
from jaxnets.functional.recurrence.time.options import segment_length
from jaxnets.nn.blocks.recomputation import (
    Binomial,
    Inverse,
    scan_in_segments,
    scan_recomputed,
)
from jaxnets.nn.inputs import check_preserved
from jaxnets.nn.module import CompiledModule
from jaxnets.nn.options import stream
from jaxnets.typing import ArrayLike


# The most blocks in one step of the loop. On CPUs each step copies the carry, forward
# and backward, so several blocks in a step take less time. On two cores of an Intel
# Xeon, the gradients of 16 blocks of 32 channels took 0.99 to 1.03 times as long as
# outside a loop in six runs, and 1.09 to 1.11 times in three with one block in a step
# (JAX 0.12.0.1, 2026-12-01, `jaxnets bench stack --rows unrolled: --rounds 31`).
_BLOCKS_IN_A_STEP = 5
_CHECKPOINTS = 'None, "sqrt", an int, ("binomial", snapshots) or "inverse"'
_NO_FORWARD_MODE = (
    '`nn.Stack` has no forward mode with this `checkpoint`; wanted None, "sqrt" or '
    "the number of blocks of a segment, or reverse mode: `jax.grad`."
)


class Stack(CompiledModule):
    """Equal blocks in sequence, applied by a scan, so that depth adds no compile time.

    Each step of the scan has n blocks, where n is the largest divisor of L that is at
    most five. So two to five blocks have no loop, and if L is a larger prime, a step
    has one block. Taps inside the blocks get an axis `(layers,)`. With segments the
    axes are `(segments, layers)`, and if the last segment is shorter, its taps have
    names with the prefix `rest/`.

    By default the residuals of all L blocks are stored for the backward pass. The other
    choices of `checkpoint` compute blocks a second time, which leaves values and
    gradients as they are:

    - an int k stores the states between segments of k blocks and the residuals of one
      segment, and computes each block once more; if k does not divide L, the parameters
      are copied too. "sqrt" is the divisor of L that is nearest to sqrt(L), or sqrt(L)
      if that has no divisor within a factor of two; it needs O(sqrt(L)) memory (Chen et
      al. 2016);
    - `("binomial", c)` stores c states and computes each block at most r + 1 times more
      for the least r with `binomial(c + r, c) >= L`: with c = 10 at most 5 times for
      1,001 blocks (Griewank and Walther 2000);
    - "inverse" stores the last state and computes the others by the method
      `inverse(y)` of the blocks, which `jaxnets.nn.ReversibleBlock` has (Gomez et al.
      2017). Rounding errors grow with depth: compare `x` with `invert(stack(x))`.

    The last two have no forward mode. With `("binomial", c)` a gradient can be
    differentiated again in forward mode only, as `jax.hessian` does.

    Args:
        make_block: Function that makes one block from an `nnx.Rngs`.
        count: L, number of blocks, at least 1.
        checkpoint: None, "sqrt", an int, `("binomial", c)` or "inverse".
        rngs: Source of randomness; its `params` stream is split between the blocks.

    Attributes:
        blocks: One block whose parameters have a leading axis of length `count`.

    Raises:
        TypeError: If `count` is not an int, `make_block` does not make a module,
            `checkpoint` has a wrong type, or it is "inverse" and a block has no method
            `inverse`. Also in forward mode with `("binomial", c)` or "inverse".
        ValueError: If `count` is below 1 or `checkpoint` is not one of the choices; in
            a call, if a block changes the shape or the dtype of its input.

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

    Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"; Griewank
    and Walther 2000, "Algorithm 799: Revolve"; Gomez et al. 2017, "The Reversible
    Residual Network: Backpropagation Without Storing Activations".
    """

    def __init__(
        self,
        make_block: Callable[[nnx.Rngs], nnx.Module],
        count: int,
        *,
        checkpoint: int | str | tuple[str, int] | None = None,
        rngs: nnx.Rngs,
    ):
        count = as_count(count, "count", meaning="the number of blocks")
        self.checkpoint = parse_checkpoint(checkpoint, count)
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
        if self.checkpoint == "inverse":
            self._check_method("inverse", "nn.ReversibleBlock")

    def __call__(
        self,
        x: Float[ArrayLike, "*shape"],
        *block_arguments,
        skipped: Bool[ArrayLike, " layers"] | None = None,
    ) -> Float[Array, "*shape"]:
        """Apply the blocks to `x` one after the other; each preserves its shape.

        Args:
            x: Input of the first block.
            *block_arguments: Further arguments, passed to every block.
            skipped: Booleans `(L,)`: the blocks that are left out, whose input goes to
                the next block unchanged. None leaves out none. They may be traced: see
                `jaxnets.gradflow.lesion_profile`.
        """
        x = as_array(x, "x")
        if skipped is not None:
            skipped = as_array(skipped, "skipped")
            if skipped.shape != (self.count,) or skipped.dtype != jnp.bool_:
                raise ValueError(
                    f"`skipped` has shape {skipped.shape} and dtype {skipped.dtype}; "
                    f"wanted a boolean for each of the {self.count} blocks."
                )
        definition, params, rest = nnx.split(self.blocks, nnx.Param, ...)

        def apply(x, states):
            params, rest, skip = states
            before = _values(rest)
            block = nnx.merge(definition, params, rest)
            y = block(x, *block_arguments)
            check_preserved(x, y)
            y = y if skip is None else jnp.where(skip, x, y)
            return y, _changed(before, nnx.split(block, nnx.Param, ...)[2])

        def invert(y, states):
            return nnx.merge(definition, *states[:2]).inverse(y, *block_arguments)

        states = params, rest, skipped
        if self.checkpoint is None:
            y, changed = jax.lax.scan(apply, x, states, unroll=_unroll(self.count))
        elif isinstance(self.checkpoint, int):
            y, changed = scan_in_segments(apply, x, states, self.checkpoint)
        else:
            recovery = (
                Inverse(invert)
                if self.checkpoint == "inverse"
                else Binomial.of(self.count, self.checkpoint[1])
            )
            y, changed = scan_recomputed(apply, x, states, recovery, _NO_FORWARD_MODE)
        nnx.update(self.blocks, changed)
        return y

    def over_blocks(
        self, step: Callable[[Any, Any], Any], carry: Any, *, reverse: bool = False
    ) -> tuple[Any, Any]:
        """Scan a function over the blocks, which are not changed.

        Args:
            step: `step(block, carry) -> (carry, out)`.
            carry: The first carry.
            reverse: Whether to begin with the last block.

        Returns:
            The last carry, and the `out` of all blocks with a first axis `(L,)`.
        """
        definition, states = nnx.split(self.blocks)
        own = lambda carry, state: step(nnx.merge(definition, state), carry)
        return jax.lax.scan(own, carry, states, reverse=reverse)

    def contributions(
        self, x: Float[ArrayLike, "*shape"], *block_arguments
    ) -> Float[Array, " layers"]:
        """Return how much each block adds to what its shortcut carries.

        It is `|F(x)| / |x|`, which the method `contribution` of each block returns for
        the input of that block. A block whose contribution is small changes little, as
        do the last blocks of a deep network with pre-activation.

        Args:
            x: Input of the first block.
            *block_arguments: Further arguments, passed to every block.

        Raises:
            TypeError: If the blocks have no such method, or no shortcut.
        """
        self._check_method("contribution", "nn.Block")
        step = lambda block, x: (block(x, *block_arguments), block.contribution(x))
        return self.over_blocks(step, as_array(x, "x"))[1]

    def invert(
        self, y: Float[ArrayLike, "*shape"], *block_arguments
    ) -> Float[Array, "*shape"]:
        """Return the `x` whose output is `y`; the blocks need a method `inverse`.

        Args:
            y: Output of the last block.
            *block_arguments: Further arguments, passed to the inverse of every block.

        Raises:
            TypeError: If the blocks have no method `inverse`.
        """
        self._check_method("inverse", "nn.ReversibleBlock")
        step = lambda block, y: (block.inverse(y, *block_arguments), None)
        return self.over_blocks(step, as_array(y, "y"), reverse=True)[0]

    def _check_method(self, name: str, example: str) -> None:
        if not callable(getattr(self.blocks, name, None)):
            raise TypeError(
                f"`make_block` makes a `{type(self.blocks).__name__}`, which has no "
                f"method `{name}`; wanted one, such as `{example}`."
            )


def _unroll(count: int) -> int:
    """Return the number of blocks in one step.

    It divides `count`. If it did not, JAX would copy the arrays of all blocks to split
    off the rest.
    """
    return max(n for n in range(1, _BLOCKS_IN_A_STEP + 1) if count % n == 0)


def _values(state: Any) -> dict[Any, Any]:
    """Return the array of each variable, by its path."""
    return {path: v.get_raw_value() for path, v in nnx.to_flat_state(state)}


def _changed(before: dict[Any, Any], after: Any) -> Any:
    """Return the variables of a block that no longer have the arrays of `before`.

    The stack sets no others, so in evaluation mode it may be closed over.
    """
    is_own = lambda path, v: v.get_raw_value() is before.get(path)
    flat = nnx.to_flat_state(after)
    return nnx.from_flat_state([(p, v) for p, v in flat if not is_own(p, v)])


def parse_checkpoint(checkpoint: Any, count: int) -> Any:
    """Return the option in one form: the length of segments in place of "sqrt"."""
    if isinstance(checkpoint, tuple | list) and len(checkpoint) == 2:
        kind, snapshots = checkpoint
        if kind == "binomial":
            meaning = "the stored states of a binomial `checkpoint`"
            return kind, min(as_count(snapshots, "snapshots", meaning=meaning), count)
    if checkpoint is None or checkpoint == "inverse":
        return checkpoint
    if not isinstance(checkpoint, str) and int_or_none(checkpoint) is None:
        raise TypeError(f"`checkpoint` is {checkpoint!r}; wanted {_CHECKPOINTS}.")
    if isinstance(checkpoint, str) and checkpoint != "sqrt":
        raise ValueError(f"`checkpoint` is {checkpoint!r}; wanted {_CHECKPOINTS}.")
    segment = min(segment_length(checkpoint, count, "blocks") or count, count)
    if checkpoint == "sqrt":
        # Equal segments need no copy of the parameters, and no second program for a
        # rest. A number up to twice as large or small needs little more memory.
        near = range(-(-segment // 2), 2 * segment + 1)
        equal = [number for number in near if count % number == 0]
        return min(equal, key=lambda n: max(n, count // n), default=segment)
    return segment
