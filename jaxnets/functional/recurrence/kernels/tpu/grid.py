"""The grid of a persistent kernel for TPUs: which blocks it reads, and in which order.

The grid has an axis of batch tiles, which are independent, and an axis of time blocks,
which are computed one after another. Blocks whose index does not change stay in VMEM.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from jaxnets.functional.recurrence.kernels.gates import GATES
from jaxnets.functional.recurrence.kernels.tpu.blocks import (
    LANES,
    BlockSizes,
    round_up,
)


class Walk(NamedTuple):
    """The order in which the kernel reads the steps.

    Attributes:
        cell: "rnn", "gru" or "lstm".
        time: Number of steps.
        batch: Number of sequences.
        descending: Whether the last step is computed first.
        sizes: The sizes of the blocks.
    """

    cell: str
    time: int
    batch: int
    descending: bool
    sizes: BlockSizes

    @property
    def blocks(self) -> int:
        """Number of time blocks."""
        return -(-self.time // self.sizes.steps)

    def block(self, number: Any) -> Any:
        """Return the index of the time block that is computed as `number`."""
        return self.blocks - 1 - number if self.descending else number

    def each_step(self, step: Callable[[Any, Any], None]) -> None:
        """Call `step(k, t)` for each step k of this time block, which is step t."""
        start = self.block(pl.program_id(1)) * self.sizes.steps
        # The last block may be shorter.
        count = jnp.minimum(self.sizes.steps, self.time - start)

        def body(k: Any, _: None) -> None:
            k = count - 1 - k if self.descending else k
            step(k, start + k)

        jax.lax.fori_loop(jnp.int32(0), count, body, None)


def streamed(walk: Walk, gates: int) -> pl.BlockSpec:
    """Return the blocks of an array `(T, B, gates*H)`."""
    rows, steps, hidden, *_ = walk.sizes
    return pl.BlockSpec(
        (steps, rows, gates * hidden),
        lambda tile, number: (walk.block(number), tile, 0),
    )


def tile(walk: Walk) -> pl.BlockSpec:
    """Return the blocks of an array `(B, H)`, which stay for all time blocks."""
    rows, hidden = walk.sizes.rows, walk.sizes.hidden
    return pl.BlockSpec((rows, hidden), lambda tile, number: (tile, 0))


def whole() -> pl.BlockSpec:
    """Return the block of an array that all grid steps read: one copy is enough."""
    return pl.BlockSpec(pipeline_mode=pl.Buffered(1))


def codes_by_tile(codes: jax.Array | None, walk: Walk) -> Any:
    """Return the codes with time in the lanes, and their blocks of 128 steps."""
    if codes is None:
        return None
    pads = [(0, 0), (0, round_up(walk.time, LANES) - walk.time)]
    blocks = LANES // walk.sizes.steps
    spec = pl.BlockSpec(
        (walk.sizes.rows, LANES),
        lambda tile, number: (tile, jax.lax.div(walk.block(number), blocks)),
    )
    return jnp.pad(codes.T, pads), spec


def launch(
    kernel: Callable[..., None],
    walk: Walk,
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    interpret: Any,
) -> dict[str, Any]:
    """Launch `kernel(walk, inputs, outputs)` and return its outputs.

    Args:
        kernel: The kernel of one block.
        walk: The order of the steps.
        inputs: Pairs of an array and its `BlockSpec`, in any tree; None is left out.
        outputs: Triples of a shape, a dtype and a `BlockSpec`, likewise.
        interpret: As in `pl.pallas_call`.
    """
    pair = lambda leaf: isinstance(leaf, tuple) and isinstance(leaf[-1], pl.BlockSpec)
    given, inputs_tree = jax.tree.flatten(inputs, is_leaf=pair)
    wanted, outputs_tree = jax.tree.flatten(outputs, is_leaf=pair)
    # Inside `jax.shard_map` the results vary over the same mesh axes as the inputs.
    varying = jax.typeof(given[0][0]).manual_axis_type

    def body(*refs: Any) -> None:
        own = jax.tree.unflatten(inputs_tree, refs[: len(given)])
        kernel(walk, own, jax.tree.unflatten(outputs_tree, refs[len(given) :]))

    call = pl.pallas_call(
        body,
        out_shape=[
            jax.ShapeDtypeStruct(shape, dtype, manual_axis_type=varying)
            for shape, dtype, _ in wanted
        ],
        grid=(-(-walk.batch // walk.sizes.rows), walk.blocks),
        in_specs=[spec for _, spec in given],
        out_specs=[spec for _, _, spec in wanted],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "arbitrary"),
            vmem_limit_bytes=walk.sizes.vmem,
        ),
        interpret=interpret,
        cost_estimate=_cost(walk, given, wanted),
        name=f"{walk.cell}_{kernel.__name__}",
    )
    # Mosaic has no integers of 64 bits, which a literal would be with `jax_enable_x64`.
    with jax.enable_x64(False):
        results = call(*(array for array, _ in given))
    return jax.tree.unflatten(outputs_tree, results)


def _cost(walk: Walk, given: Any, wanted: Any) -> pl.CostEstimate:
    """Return the cost for XLA, which cannot look into the kernel."""
    shapes = [(array.shape, array.dtype) for array, _ in given]
    shapes += [(shape, dtype) for shape, dtype, _ in wanted]
    cells = walk.time * walk.batch * walk.sizes.hidden * GATES[walk.cell]
    return pl.CostEstimate(
        flops=2 * cells * walk.sizes.hidden,
        transcendentals=cells,
        bytes_accessed=sum(
            math.prod(shape) * jnp.dtype(dtype).itemsize for shape, dtype in shapes
        ),
    )
