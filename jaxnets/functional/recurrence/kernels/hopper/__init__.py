"""Persistent kernels for NVIDIA's Hopper GPUs: one launch computes all steps.

A loop of XLA launches several kernels in every step, and each of them reads the
recurrent weights again. Here one launch computes all steps: the weights and the state
stay on the chip, the gate inputs of the next steps are copied to it ahead of time, and
only the results are copied back.

A block of threads computes all steps of 8, 16 or 32 sequences. Each of its warpgroups
computes 64 units with all their gates. So the gates of a unit are in the registers of
one warpgroup. In every step the warpgroups exchange only `h` (in the backward pass the
cotangents of the gates), through shared memory and with one barrier. Blocks do not
communicate. `tiles.py` says why a block has so few sequences and how products of
float32 are computed.

The kernels are written with Mosaic GPU, the backend of Pallas for Hopper.
"""

from typing import Any

import jax

from jaxnets.functional.recurrence.kernels.hopper.tiles import Tiles, find_tiles, fits


__all__ = ["backward", "fits", "forward"]


def forward(
    cell: str,
    from_x: jax.Array,
    w_hh: jax.Array,
    b_h: jax.Array | None,
    state: tuple[jax.Array, ...],
    codes: jax.Array | None,
    *,
    reverse: bool,
    interpret: Any = False,
) -> tuple[jax.Array, jax.Array | None, tuple[jax.Array, ...]]:
    """Compute all steps of a recurrence.

    A step is, with `a_t = from_x_t + h_{t-1} w_hh`, which has a block for each gate::

        rnn   h_t = tanh(a_t)
        gru   r, z = sigmoid(a_r), sigmoid(a_z)
              n = tanh(from_x_n + r * (h_{t-1} w_hn + b_hn))
              h_t = (1 - z) * n + z * h_{t-1}
        lstm  i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)
              c_t = f * c_{t-1} + i * tanh(a_g)
              h_t = o * tanh(c_t)

    The state, the sums of products and the gates are float32. Operands of products are
    bfloat16 if the arrays are. In float32 each operand is the sum of two of bfloat16,
    and a product has a relative error of about 2^-16; it does not depend on
    `jax.default_matmul_precision`. In bfloat16 sigmoid and tanh come from the
    hardware's tanh, with a relative error of 2^-11.

    With `jax.vmap` each element of the mapped axis has blocks of its own, also if the
    weights are mapped. Sequences on the axis B share blocks, which is faster. Inside
    `jax.shard_map` each device runs the kernel on its part. JAX cannot differentiate
    this function; `backward` computes its cotangents.

    Args:
        cell: "rnn", "gru" or "lstm", with G = 1, 3 or 4 gates.
        from_x: `x @ w_xh + b`, `(T, B, G*H)`, in float32 or bfloat16.
        w_hh: `(H, G*H)`, in the same dtype.
        b_h: The GRU's `b_hn (H,)` in float32, or None.
        state: The initial state, which is also the state after a reset: `(h,)`, or `(h,
            c)`, each `(B, H)` in float32.
        codes: Integers `(T, B)` of 32 bits. Bit 0 says that the step is real and not
            padding: at padding the state stays and `ys` is zero. Bit 1 says that the
            state is reset before the step. None if all steps are real and there are no
            resets.
        reverse: Whether the last step is computed first.
        interpret: False, or `InterpretGPUParams` of Mosaic GPU to simulate the kernel
            on a CPU.

    Returns:
        `ys (T, B, H)`, in the dtype of `from_x`; for the LSTM the memory cell after
        each step, `(T, B, H)` in float32, otherwise None; and the state after the last
        step that is computed, as `state`.

    Raises:
        ValueError: If the weights do not fit on the chip.
    """
    # Here, because Pallas takes a second to import.
    from jaxnets.functional.recurrence.kernels.hopper.forward_kernel import (
        forward_kernel,
    )

    batch, hidden = from_x.shape[1], w_hh.shape[0]
    tiles = _tiles(cell, batch, hidden, from_x.dtype, interpret, backward=False)
    arrays = (from_x, w_hh, b_h, state, codes)
    return forward_kernel(cell, tiles, *arrays, reverse=reverse, interpret=interpret)


def backward(
    cell: str,
    pre: tuple[jax.Array, ...],
    w_hh: jax.Array,
    before: tuple[jax.Array, ...],
    codes: jax.Array | None,
    ct_ys: jax.Array,
    ct_final: tuple[jax.Array, ...],
    *,
    reverse: bool,
    interpret: Any = False,
) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...], tuple[jax.Array, ...] | None]:
    """Compute the cotangents of the pre-activations of all steps.

    It computes the steps of `forward` from the last to the first::

        ct_h_t += ct_ys_t
        ct_a_t = the cotangents of the gates' pre-activations
        ct_h_{t-1} = ct_a_t w_hh^T + what does not pass through w_hh

    The cotangents of the state are float32 on the chip. `ct_a_t` is rounded to the
    dtype of the arrays where it is written and where it is an operand of a product. In
    float32 that operand is the sum of two of bfloat16, as in `forward`.

    The kernel computes neither the gradients of the weights nor the pre-activations:
    XLA computes them with products over all steps, after and before the kernel. So it
    needs no other weights than `w_hh`, and a step has one product.

    Args:
        cell: "rnn", "gru" or "lstm", with G = 1, 3 or 4 gates.
        pre: The pre-activations `(T, B, G*H)`. Those of the GRU are `[a_r, a_z, a_n]
            (T, B, 3*H)`, where a_n is the part of n that depends on `x_t`, and `a_hn =
            h @ w_hn + b_hn`, `(T, B, H)`.
        w_hh: As in `forward`.
        before: The state at the start of each step, after a reset: `(h,)`, or `(h, c)`,
            each `(T, B, H)`. The RNN and the LSTM do not read h.
        codes: As in `forward`.
        ct_ys: `(T, B, H)`. That of padding has no effect.
        ct_final: The cotangent of the final state, each `(B, H)` in float32.
        reverse: As in `forward`.
        interpret: As in `forward`.

    Returns:
        The cotangents of `pre`, in its dtype; those of the state before the first step
        that is computed, each `(B, H)` in float32; and the sums of those that end at a
        reset, in the same form, or None if `codes` is None.

    Raises:
        ValueError: If the weights do not fit on the chip.
    """
    from jaxnets.functional.recurrence.kernels.hopper.backward_kernel import (
        backward_kernel,
    )

    batch, hidden = ct_ys.shape[1], w_hh.shape[0]
    tiles = _tiles(cell, batch, hidden, w_hh.dtype, interpret, backward=True)
    arrays = (pre, w_hh, before, codes, ct_ys, ct_final)
    return backward_kernel(cell, tiles, *arrays, reverse=reverse, interpret=interpret)


def _tiles(
    cell: str, batch: int, hidden: int, dtype: Any, interpret: Any, *, backward: bool
) -> Tiles:
    tiles = find_tiles(cell, batch, hidden, dtype, backward=backward)
    if isinstance(tiles, str):
        raise ValueError(tiles)
    # The interpreter multiplies only what is in shared memory, and has enough of it.
    return tiles._replace(resident=0) if interpret else tiles
