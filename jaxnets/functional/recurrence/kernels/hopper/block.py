"""What a block of the kernels for Hopper does: loads, products and stores."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from jaxnets.functional.recurrence.kernels.gates import Activations
from jaxnets.functional.recurrence.kernels.hopper.memory import (
    read,
    read_global,
    shared,
    write,
)
from jaxnets.functional.recurrence.kernels.hopper.tiles import UNITS, Tiles
from jaxnets.functional.shared.sharding import match_varying_axes


def broadcast(vector: jax.Array, axis: int, tiles: Tiles) -> jax.Array:
    """Repeat a vector of units (axis 0) or sequences (axis 1) along the other axis."""
    return lax.broadcast_in_dim(vector, (UNITS, tiles.rows), (axis,))


def where(
    condition: jax.Array, yes: Sequence[jax.Array], no: Sequence[jax.Array]
) -> tuple[jax.Array, ...]:
    """Select from two sequences of arrays."""
    return tuple(jnp.where(condition, a, b) for a, b in zip(yes, no, strict=True))


def activations_of(dtype: jax.typing.DTypeLike) -> Activations:
    """Return activations whose error is below that of products of `dtype`.

    The hardware's tanh has a relative error of 2^-11, which is below the rounding of
    bfloat16. For float32 both are made of exponentials.
    """
    if dtype == jnp.bfloat16:
        return Activations(lambda x: 0.5 * jnp.tanh(0.5 * x) + 0.5, jnp.tanh)
    sigmoid = lambda x: 1.0 / (1.0 + jnp.exp(-x))
    return Activations(sigmoid, lambda x: 2.0 * sigmoid(2.0 * x) - 1.0)


class Block(NamedTuple):
    """One block of sequences, and the warpgroup of it that runs the code.

    Attributes:
        tiles: The division.
        dtype: The dtype of the operands of the products.
        time: The number of steps.
        reverse: If the last step is computed first.
        parts: The inputs of a step: their names, and how many blocks of units each has.
    """

    tiles: Tiles
    dtype: Any
    time: int
    reverse: bool
    parts: Mapping[str, int]

    def call(
        self,
        body: Callable[[dict[str, Any]], None],
        inputs: Mapping[str, jax.Array],
        outputs: Mapping[str, tuple[tuple[int, ...], Any]],
        scratch: Mapping[str, Any],
        rows: int,
        interpret: Any,
    ) -> dict[str, jax.Array]:
        """Run the kernel `body(refs)` on all blocks."""
        tiles = self.tiles
        groups, stages = tiles.groups, tiles.stages
        names = [*inputs, *outputs]

        def run(*refs, **scratch_refs):
            body(dict(zip(names, refs, strict=True)) | scratch_refs)

        own: dict[str, Any] = {
            f"{name}_smem": shared(
                (stages, groups, parts, tiles.rows, UNITS), inputs[name].dtype
            )
            for name, parts in self.parts.items()
        }
        for name, (shape, dtype) in outputs.items():
            if len(shape) == 3:
                parts = shape[-1] // tiles.hidden
                own[f"{name}_smem"] = shared((parts, groups, tiles.rows, UNITS), dtype)
        own["fetched"] = plgpu.Barrier(
            num_arrivals=sum(self.parts.values()), num_barriers=stages * groups
        )
        own["met"] = plgpu.Barrier(num_arrivals=groups)
        count = tiles.pieces * tiles.gates - tiles.resident
        if count:
            shape = (groups, count, groups, UNITS, UNITS)
            own["w_smem"] = shared(shape, jnp.bfloat16)
            own["weights"] = plgpu.Barrier(
                num_arrivals=count * groups, num_barriers=groups
            )
        kernel = plgpu.kernel(
            run,
            out_type=tuple(jax.ShapeDtypeStruct(*out) for out in outputs.values()),
            grid=(rows // tiles.rows,),
            grid_names=("block",),
            num_threads=groups,
            thread_name="group",
            scratch_types={**own, **scratch},
            compiler_params=plgpu.CompilerParams(approx_math=True),
            interpret=interpret,
        )
        arrays = tuple(inputs.values())
        # Inside `jax.shard_map` the results vary over the same axes as the inputs.
        found, _ = match_varying_axes(kernel(*arrays), arrays)
        return dict(zip(outputs, found, strict=True))

    def group(self) -> jax.Array:
        """Return the index of the warpgroup."""
        return lax.axis_index("group")

    def units(self, part: int = 0) -> Any:
        """Return the columns of the warpgroup's units in a part of an array."""
        return pl.ds(part * self.tiles.hidden + self.group() * UNITS, UNITS)

    def rows(self) -> Any:
        """Return the sequences of the block."""
        return pl.ds(lax.axis_index("block") * self.tiles.rows, self.tiles.rows)

    def index(self, t: Any) -> Any:
        """Return where the step that is computed as number `t` lies in time."""
        return self.time - 1 - t if self.reverse else t

    def loop(self, step: Callable[[Any, Any], Any], carry: Any) -> Any:
        """Run `step(t, carry)` for all steps."""
        # If `jax_enable_x64` is set, the loop counts in 64 bits.
        one = lambda t, carry: step(jnp.int32(t), carry)
        return lax.fori_loop(0, self.time, one, carry)

    def state(self, refs: dict[str, Any], name: str, count: int) -> list[jax.Array]:
        """Read the warpgroup's part of the arrays of a state."""
        at = [refs[f"{name}_{k}"].at[self.units(), self.rows()] for k in range(count)]
        # Inside `jax.shard_map` what is read varies over mesh axes, by its type, and
        # what the kernel computes does not. A loop needs one type.
        return [read_global(block) + 0.0 for block in at]

    def load_weights(self, refs: dict[str, Any]) -> list[list[Any]]:
        """Start to load the warpgroup's rows of the weights.

        Returns:
            For each piece of each gate, blocks of 64 units by 64 units of the state, in
            registers or in shared memory.
        """
        tiles = self.tiles

        def load(matrix: int, k: int):
            source = refs["w"].at[matrix, self.units(), pl.ds(k * UNITS, UNITS)]
            if matrix < tiles.resident:
                return read_global(source)
            block = refs["w_smem"].at[self.group(), matrix - tiles.resident, k]
            barrier = refs["weights"].at[self.group()]
            plgpu.copy_gmem_to_smem(source, block, barrier)
            return block

        matrices = range(tiles.pieces * tiles.gates)
        return [[load(matrix, k) for k in range(tiles.groups)] for matrix in matrices]

    def wait_for_weights(self, refs: dict[str, Any]) -> None:
        """Wait until the weights are in shared memory."""
        if "weights" in refs:
            plgpu.barrier_wait(refs["weights"].at[self.group()])

    def meet(self, refs: dict[str, Any]) -> None:
        """Wait for all warpgroups of the block."""
        plgpu.barrier_arrive(refs["met"])
        plgpu.barrier_wait(refs["met"])

    def _stage(self, t: Any) -> Any:
        return lax.rem(jnp.int32(t), jnp.int32(self.tiles.stages))

    def fetch(self, refs: dict[str, Any], t: Any) -> None:
        """Start to load the inputs of step number `t`."""
        stage = self._stage(t)
        barrier = refs["fetched"].at[stage * self.tiles.groups + self.group()]
        for name, parts in self.parts.items():
            for part in range(parts):
                plgpu.copy_gmem_to_smem(
                    refs[name].at[self.index(t), self.rows(), self.units(part)],
                    refs[f"{name}_smem"].at[stage, self.group(), part],
                    barrier,
                )

    def wait_for_inputs(self, refs: dict[str, Any], t: Any) -> None:
        """Wait until the inputs of step number `t` are in shared memory."""
        stage = self._stage(t)
        barrier = refs["fetched"].at[stage * self.tiles.groups + self.group()]
        plgpu.barrier_wait(barrier)

    def inputs(self, refs: dict[str, Any], t: Any, name: str) -> list[jax.Array]:
        """Return the blocks of an input of step number `t`."""
        at = refs[f"{name}_smem"].at
        blocks = range(self.parts[name])
        return [read(at[self._stage(t), self.group(), part]) for part in blocks]

    def codes(self, refs: dict[str, Any], t: Any) -> jax.Array:
        """Return the codes of step number `t`, at most of the last one."""
        last = jnp.int32(self.time - 1)
        where = self.index(lax.min(jnp.int32(t), last))
        layout = plgpu.Layout.WGMMA.reduce(0)
        source = refs["codes"].at[where, self.rows()]
        return plgpu.load(source, layout=layout, optimized=False)

    def products(
        self, weights: list[list[Any]], operands: list[Any], sums: list[int]
    ) -> list[jax.Array]:
        """Multiply each gate's weights with its operand.

        Args:
            weights: The weights, as `load_weights` returns them.
            operands: For each gate, `(groups, pieces * sequences, units)` in shared
                memory.
            sums: For each gate, to which result its product is added.
        """
        tiles, count = self.tiles, max(sums) + 1

        def run(*results):
            for k in range(tiles.groups):
                for gate, operand in enumerate(operands):
                    whole = operand.at[k].transpose((1, 0))
                    plgpu.wgmma(results[sums[gate]], weights[gate][k], whole)
                    if tiles.pieces == 2:
                        first = operand.at[k, : tiles.rows].transpose((1, 0))
                        small = weights[tiles.gates + gate][k]
                        plgpu.wgmma(results[count + sums[gate]], small, first)
            return tuple(result[...] for result in results)

        kind, rows = plgpu.WGMMAAccumulatorRef, tiles.rows
        wide = kind((UNITS, tiles.pieces * rows), jnp.float32)
        if tiles.pieces == 1:
            return list(pl.run_scoped(run, *[wide] * count))
        narrow = kind((UNITS, rows), jnp.float32)
        found = pl.run_scoped(run, *[wide] * count, *[narrow] * count)
        pairs = zip(found[:count], found[count:], strict=True)
        return [a[:, :rows] + (a[:, rows:] + b) for a, b in pairs]

    def store(
        self, refs: dict[str, Any], t: Any, results: Mapping[str, Sequence[jax.Array]]
    ) -> None:
        """Start to copy results of step number `t` to global memory.

        Args:
            refs: The kernel's references.
            t: The number of the step.
            results: The name of each output and its blocks of units.
        """
        # The copies of the step before must have left shared memory.
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        for name, blocks in results.items():
            for part, value in enumerate(blocks):
                write(refs[f"{name}_smem"].at[part, self.group()], value)
        plgpu.commit_smem()
        for name, blocks in results.items():
            for part in range(len(blocks)):
                plgpu.copy_smem_to_gmem(
                    refs[f"{name}_smem"].at[part, self.group()],
                    refs[name].at[self.index(t), self.rows(), self.units(part)],
                    commit_group=False,
                )
        plgpu.commit_smem_to_gmem_group()
