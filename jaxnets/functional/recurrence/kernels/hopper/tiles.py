"""How the kernels for Hopper divide a recurrence over blocks and warpgroups.

A product `w_hh^T h^T` has the units as its rows and the sequences of a batch as its
columns. The tensor cores of Hopper multiply 64 rows with 8 columns or more, so a block
may have as few as 8 sequences, and a small batch occupies many multiprocessors. (With
sequences as rows, a block would have at least 64.) A warpgroup computes 64 units with
all their gates. So these gates are in its registers, and only `h` is exchanged.

The tensor cores multiply bfloat16. An operand in float32 is the sum of two arrays of
bfloat16, and a product of two operands is the sum of three products: all but that of
the two small arrays. Its relative error is about 2^-16, where that of TF32 is about
2^-11. Weights of 16 bits may also stay in registers if shared memory has no room.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.functional.recurrence.kernels.gates import GATES


UNITS = 64
MULTIPROCESSORS = 132
SHARED_MEMORY = 227 * 1024
# A `device_kind` that contains one of these is Hopper; "H20" is also in H200 and GH200.
_KINDS = ("H100", "H800", "H20")
# The bytes of shared memory that Mosaic and the barriers take.
_BARRIERS = 2048
# The least number of registers of a thread that hold no weights.
_OTHER_REGISTERS = 72


class Tiles(NamedTuple):
    """The division of a kernel.

    Attributes:
        gates: The gates of the cell.
        pieces: How many arrays of bfloat16 represent an operand of the products.
        groups: The warpgroups of a block, each with 64 units.
        rows: The sequences of a block.
        stages: The steps whose inputs are in shared memory or on their way to it.
        resident: How many of the `pieces * gates` matrices of weights are in registers
            and not in shared memory.
    """

    gates: int
    pieces: int
    groups: int
    rows: int
    stages: int
    resident: int

    @property
    def hidden(self) -> int:
        """The units, with padding."""
        return self.groups * UNITS


def find_tiles(
    cell: str, batch: int, hidden: int, dtype: jax.typing.DTypeLike, *, backward: bool
) -> Tiles | str:
    """Return the division, or the reason why there is none."""
    gates, groups = GATES[cell], -(-hidden // UNITS)
    pieces = jnp.dtype(dtype).itemsize // 2
    matrix = 2 * (groups * UNITS) ** 2
    # The registers that a thread has, and that a matrix takes of each thread.
    room = min(255, 65536 // (groups * 128)) - _OTHER_REGISTERS
    most = max(0, min(pieces * gates, room // (16 * groups)))
    loads, others = _bytes_per_unit(cell, jnp.dtype(dtype).itemsize, backward)
    for resident in range(most + 1):
        weights = (pieces * gates - resident) * matrix
        for stages in (4, 2):
            per_row = groups * UNITS * (stages * loads + others)
            fitting = (SHARED_MEMORY - _BARRIERS - weights) // per_row
            # For products of more columns a thread has too few registers.
            rows = _rows(batch, min(fitting, 32 // pieces))
            if rows:
                return Tiles(gates, pieces, groups, rows, stages, resident)
    needed = (pieces * gates - most) * matrix
    needed += _BARRIERS + 8 * groups * UNITS * (2 * loads + others)
    return (
        f"needs {-(-needed // 1024)} KiB of the {SHARED_MEMORY // 1024} KiB of shared "
        "memory of a multiprocessor"
    )


def fits(
    cell: str, batch: int, hidden: int, dtype: jax.typing.DTypeLike, kind: str | None
) -> str | None:
    """Return why the kernels cannot run on a kind of device, or None if they can.

    Shared memory must hold the weights that do not fit into registers, and what the
    steps of at least 8 sequences need.

    Args:
        cell: "rnn", "gru" or "lstm".
        batch: The number of sequences.
        hidden: The number of units.
        dtype: The dtype of the inputs and weights.
        kind: The kind, as `jax.Device.device_kind` names it. None if it is not known: a
            Hopper GPU is assumed.

    Example:
        >>> fits("lstm", 32, 128, "bfloat16", "NVIDIA H200") is None
        True
        >>> fits("lstm", 32, 512, "bfloat16", "NVIDIA H200")
        'needs 2154 KiB of the 227 KiB of shared memory of a multiprocessor'
        >>> fits("lstm", 32, 128, "bfloat16", "NVIDIA A100-SXM4-40GB")
        'needs a GPU of the Hopper generation, not NVIDIA A100-SXM4-40GB'
    """
    if kind is not None and not any(name in kind for name in _KINDS):
        return f"needs a GPU of the Hopper generation, not {kind}"
    if jnp.dtype(dtype) not in (jnp.float32, jnp.bfloat16):
        return f"supports float32 and bfloat16 only, not {jnp.dtype(dtype)}"
    found = [find_tiles(cell, batch, hidden, dtype, backward=b) for b in (False, True)]
    return next((reason for reason in found if isinstance(reason, str)), None)


def _rows(batch: int, most: int) -> int:
    """Return the sequences of a block: the fewest with which all blocks run at once."""
    possible = [rows for rows in (8, 16, 32) if rows <= most]
    enough = [rows for rows in possible if -(-batch // rows) <= MULTIPROCESSORS]
    return (enough or possible[-1:] or [0])[0]


def _bytes_per_unit(cell: str, width: int, backward: bool) -> tuple[int, int]:
    """Return the bytes of a unit and sequence: for each stage of inputs, and others.

    The others are two slots of operands, and results on their way to global memory.
    """
    gates = GATES[cell]
    if not backward:
        return gates * width, 2 * width + width + (4 if cell == "lstm" else 0)
    parts = gates + (cell == "gru")
    before = 0 if cell == "rnn" else 4
    return (parts + 1) * width + before, 2 * gates * width + parts * width


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
    """Return `w_hh (H, gates * H)` as `(pieces * gates, rows, columns)`, padded."""
    hidden = w_hh.shape[0]
    order = (1, 2, 0) if transposed else (1, 0, 2)
    w = w_hh.reshape(hidden, tiles.gates, hidden).transpose(order)
    units = (0, tiles.hidden - hidden)
    w = jnp.pad(w, ((0, 0), units, units))
    if tiles.pieces == 1:
        return w
    # A conversion to bfloat16 and back could be removed by XLA.
    first = lax.reduce_precision(w, exponent_bits=8, mantissa_bits=7)
    return jnp.concatenate([first, w - first]).astype(jnp.bfloat16)
