"""How the kernels for Hopper divide a recurrence over blocks and warpgroups.

A product `w_hh^T h^T` has the units as its rows and the sequences of a batch as its
columns. The tensor cores of Hopper multiply 64 rows with 8 columns or more, so a block
may have as few as 8 sequences, and a small batch occupies many multiprocessors. (With
sequences as rows, a block would have at least 64.) A warpgroup owns 64 units with all
their gates. So the gates meet in its registers, and only `h` is exchanged.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.pallas import mosaic_gpu as plgpu

from jaxnets.functional.recurrence.kernels.hopper_cells import GATES

UNITS = 64
MULTIPROCESSORS = 132
SHARED_MEMORY = 227 * 1024
SWIZZLE = 128


class Tiles(NamedTuple):
    """The division of a kernel.

    Attributes:
        gates: The gates of the cell.
        groups: The warpgroups of a block, each with 64 units.
        rows: The sequences of a block.
        stages: The steps whose inputs are in shared memory or on their way to it.
        resident: The gates whose weights are in registers, not in shared memory.
    """

    gates: int
    groups: int
    rows: int
    stages: int
    resident: int

    @property
    def hidden(self) -> int:
        """The units, with padding."""
        return self.groups * UNITS


def choose(
    cell: str, batch: int, hidden: int, dtype: jax.typing.DTypeLike, *, backward: bool
) -> Tiles | str:
    """Return the division, or the reason why there is none."""
    width, gates = jnp.dtype(dtype).itemsize, GATES[cell]
    groups = -(-hidden // UNITS)
    matrix = groups * groups * UNITS * UNITS * width
    # Only operands of 16 bits can be in registers; a thread has 65536 / threads of them.
    room = min(255, 65536 // (groups * 128)) - _OTHER_REGISTERS
    each = matrix // (groups * 128 * 4)
    most = min(gates, room // each) if width == 2 else 0
    loads, stores = _bytes_per_sequence(cell, width, backward)
    for resident in range(max(most, 0) + 1):
        weights = (gates - resident) * matrix
        for stages in (4, 3, 2):
            per_row = groups * UNITS * (stages * loads + 2 * stores)
            rows = _rows(batch, (SHARED_MEMORY - _BARRIERS - weights) // per_row)
            if rows:
                return Tiles(gates, groups, rows, stages, resident)
    needed = gates * matrix + 8 * groups * UNITS * 2 * (loads + stores)
    return (
        f"{hidden} units need {-(-needed // 1024)} KiB of the 227 KiB of shared memory "
        "of an H200"
    )


_OTHER_REGISTERS = 72
_BARRIERS = 4096


def _rows(batch: int, most: int) -> int:
    """Return the sequences of a block: few, if each block has a multiprocessor."""
    possible = [rows for rows in (8, 16, 32) if rows <= most]
    enough = [rows for rows in possible if -(-batch // rows) <= MULTIPROCESSORS]
    return (enough or possible[-1:] or [0])[0]


def _bytes_per_sequence(cell: str, width: int, backward: bool) -> tuple[int, int]:
    """Return the bytes of a unit and step that are loaded, and that are stored."""
    parts = GATES[cell] + (cell == "gru" and backward)
    if not backward:
        return parts * width, 2 * width + (4 if cell == "lstm" else 0)
    before = {"rnn": 0, "gru": 4, "lstm": 4}[cell]
    return (parts + 1) * width + before, parts * width


def shared(shape: tuple[int, ...], dtype: jax.typing.DTypeLike):
    """Return blocks in shared memory as the tensor cores read them."""
    columns = SWIZZLE // jnp.dtype(dtype).itemsize
    tiling = plgpu.TilingTransform((8, columns))
    transforms = (tiling, plgpu.SwizzleTransform(SWIZZLE))
    return plgpu.SMEM(shape, dtype, transforms=transforms)


def read(block) -> jax.Array:
    """Read a `(sequences, units)` block of shared memory as float32, transposed."""
    transposed = block.transpose((1, 0))
    value = plgpu.load(transposed, layout=plgpu.Layout.WGMMA_TRANSPOSED)
    return plgpu.layout_cast(value, plgpu.Layout.WGMMA).astype(jnp.float32)


def write(block, value: jax.Array) -> None:
    """Store `value (units, sequences)`, transposed, in a block of shared memory."""
    value = value.astype(block.dtype)
    value = plgpu.layout_cast(value, plgpu.Layout.WGMMA_TRANSPOSED)
    block.transpose((1, 0))[...] = value


def read_global(ref) -> jax.Array:
    """Read `(units, sequences)` from global memory."""
    return plgpu.load(ref, layout=plgpu.Layout.WGMMA, optimized=False)


def write_global(ref, value: jax.Array) -> None:
    """Store `(units, sequences)` in global memory."""
    if hasattr(plgpu, "store"):  # JAX 0.12
        plgpu.store(ref, value, optimized=False)
    else:
        ref[...] = value


def padded_steps(a: jax.Array, parts: int, tiles: Tiles) -> jax.Array:
    """Pad `a (T, B, parts * H)` to whole blocks of sequences and of units."""
    time, batch, columns = a.shape
    hidden = columns // parts
    rows, units = -batch % tiles.rows, tiles.hidden - hidden
    if units:
        a = a.reshape(time, batch, parts, hidden)
        a = jnp.pad(a, ((0, 0), (0, rows), (0, 0), (0, units)))
        return a.reshape(time, batch + rows, parts * tiles.hidden)
    return jnp.pad(a, ((0, 0), (0, rows), (0, 0))) if rows else a


def unpadded_steps(a: jax.Array, batch: int, hidden: int, parts: int = 1) -> jax.Array:
    """Undo `padded_steps`."""
    time, rows, columns = a.shape
    if columns != parts * hidden:
        a = a.reshape(time, rows, parts, columns // parts)[..., :hidden]
        a = a.reshape(time, rows, parts * hidden)
    return a[:, :batch]


def padded_state(a: jax.Array, tiles: Tiles) -> jax.Array:
    """Pad and transpose `a (B, H)`."""
    batch, hidden = a.shape
    return jnp.pad(a, ((0, -batch % tiles.rows), (0, tiles.hidden - hidden))).T


def padded_weights(w_hh: jax.Array, tiles: Tiles, *, transposed: bool) -> jax.Array:
    """Return `w_hh (H, gates * H)` as `(gates, rows, columns)`, padded."""
    hidden = w_hh.shape[0]
    order = (1, 2, 0) if transposed else (1, 0, 2)
    w = w_hh.reshape(hidden, tiles.gates, hidden).transpose(order)
    units = (0, tiles.hidden - hidden)
    return jnp.pad(w, ((0, 0), units, units))
