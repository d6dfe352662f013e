"""How the arrays of a recurrence are cut into blocks that fit the VMEM of a TPU.

The grid has an axis of batch tiles and an axis of time blocks. VMEM holds the recurrent
weights once, the state of one tile, and two buffers for each block that is streamed:
the kernel computes with one while the other is copied.

The features of an array are in the lanes of a vector register, of which a TPU has 128.
So each gate is padded with zeros to a multiple of 128 features. The padded units of the
state stay zero.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.functional.recurrence.kernels.chips import find_chip
from jaxnets.functional.recurrence.kernels.gates import GATES, STATES


LANES = 128
_MOST_ROWS = 128
_MOST_STEPS = 64
# Of all streamed blocks. Larger blocks would not hide more of the memory's latency.
_STREAMED_BYTES = 4 * 2**20
# For registers that the compiler spills, as found in compiled kernels.
_SPILLED_BYTES = 2**20
# The precisions of JAX with which a TPU multiplies in one pass of bfloat16.
_ONE_PASS = (None, "default", "fastest", "bfloat16")


class BlockSizes(NamedTuple):
    """The sizes of the blocks.

    Attributes:
        rows: Sequences of a batch tile.
        steps: Steps of a time block, a power of two.
        hidden: Features of the state, padded.
        vmem: Bytes of VMEM that the kernel uses.
        weights: The part of these bytes that the recurrent weights use.
    """

    rows: int
    steps: int
    hidden: int
    vmem: int
    weights: int


def block_sizes(
    cell: str, batch: int, time: int, hidden: int, dtype: jnp.dtype, *, backward: bool
) -> BlockSizes:
    """Return the sizes of the blocks of the forward or the backward kernel."""
    gates, states, size = GATES[cell], STATES[cell], jnp.dtype(dtype).itemsize
    hidden = round_up(hidden, LANES)
    sublanes = 32 // size
    if backward:
        # Pre-activations and their cotangents, `ct_ys`, and the state before the step.
        blocks = gates + (cell == "gru")
        features = size * (2 * blocks + 1) + {"rnn": 0, "gru": size, "lstm": 4}[cell]
    else:
        features = size * (gates + 1) + 4 * (states - 1)
    streamed = 2 * features * hidden  # bytes of one step of one sequence
    most_rows = min(_MOST_ROWS, max(1, _STREAMED_BYTES // streamed))
    rows = batch
    if batch > most_rows:
        tiles = -(-batch // max(most_rows, sublanes))
        rows = min(batch, round_up(-(-batch // tiles), sublanes))
    held = round_up(rows, sublanes)
    fitting = max(1, min(_MOST_STEPS, time, _STREAMED_BYTES // (streamed * held)))
    steps = 2 ** (fitting.bit_length() - 1)
    # The states in and out, and the intermediate results of a step.
    others = 4 * hidden * held * ((6 if backward else 4) * states + 2 * gates + 2)
    codes = 2 * 4 * held * LANES
    weights = gates * hidden * hidden * operand_dtype(dtype).itemsize
    vmem = weights + steps * held * streamed + others + codes + _SPILLED_BYTES
    return BlockSizes(rows, steps, hidden, vmem, weights)


def fits(
    cell: str, batch: int, hidden: int, dtype: Any, kind: str | None
) -> str | None:
    """Return why the kernels do not fit the VMEM of a device kind, or None.

    Example:
        >>> fits("lstm", 32, 1024, "bfloat16", "TPU v4") is None
        True
        >>> fits("lstm", 32, 2048, "bfloat16", "TPU v4")
        'needs 42 MiB of the 16 MiB of VMEM of a TPU v4, 32 of them for the weights'
    """
    chip = find_chip(kind)
    name, vmem = chip or ("TPU", 128 * 2**20)
    uses = [
        block_sizes(
            cell, batch, _MOST_STEPS, hidden, jnp.dtype(dtype), backward=backward
        )
        for backward in (False, True)
    ]
    most = max(uses, key=lambda sizes: sizes.vmem)
    if most.vmem <= vmem:
        return None
    mib = lambda number: -(-number // 2**20)
    return (
        f"needs {mib(most.vmem)} MiB of the {mib(vmem)} MiB of VMEM of a {name}, "
        f"{mib(most.weights)} of them for the weights"
    )


def operand_dtype(dtype: Any) -> np.dtype:
    """Return the dtype of the operands of products that are compiled for a TPU.

    With the default precision a TPU rounds operands of float32 to bfloat16. The kernel
    holds the weights rounded, so they take half of the memory and are not rounded again
    in every step.

    Example:
        >>> operand_dtype(jnp.float32)
        dtype(bfloat16)
        >>> with jax.default_matmul_precision("highest"):
        ...     operand_dtype(jnp.float32)
        dtype('float32')
    """
    rounded = jax.config.jax_default_matmul_precision in _ONE_PASS
    return jnp.dtype(jnp.bfloat16 if rounded else dtype)


def round_up(number: int, multiple: int) -> int:
    """Return the next multiple of `multiple`.

    Example:
        >>> round_up(130, 128)
        256
    """
    return -(-number // multiple) * multiple


def pad_gates(a: jax.Array, hidden: int, padded: int) -> jax.Array:
    """Pad each block of `hidden` features on the last axis to `padded`.

    Splitting the axis costs XLA less than reshaping it.
    """
    if hidden == padded:
        return a
    pads = [(0, 0)] * (a.ndim - 1) + [(0, padded - hidden)]
    blocks = jnp.split(a, a.shape[-1] // hidden, axis=-1)
    return jnp.concatenate([jnp.pad(block, pads) for block in blocks], axis=-1)


def unpad_gates(a: jax.Array, hidden: int, padded: int) -> jax.Array:
    """Undo `pad_gates`."""
    if hidden == padded:
        return a
    blocks = jnp.split(a, a.shape[-1] // padded, axis=-1)
    return jnp.concatenate([block[..., :hidden] for block in blocks], axis=-1)


def pad_weights(w_hh: jax.Array, hidden: int, padded: int) -> jax.Array:
    """Pad the rows and the columns of `w_hh (H, G*H)`."""
    columns = pad_gates(w_hh, hidden, padded)
    return jnp.pad(columns, [(0, padded - hidden), (0, 0)])
