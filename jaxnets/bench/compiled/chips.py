"""The chips that programs are compiled for. It does not import JAX."""

from typing import NamedTuple


class Chip(NamedTuple):
    """What the roofline of a chip needs, and how to compile for it.

    Attributes:
        title: Its name.
        platform: "tpu" or "cuda": JAX's name of the compiler, and the name of the
            extra of this project that installs it.
        topology: JAX's name of the smallest machine that has the chip.
        bandwidth: Bytes that its main memory moves in a second, at best.
        peak: Operations that its matrix units do in a second, at best, by the dtype of
            the operands. By default JAX multiplies float32 numbers in one pass of
            bfloat16 on a TPU and as TF32 on a GPU.
    """

    title: str
    platform: str
    topology: str
    bandwidth: float
    peak: dict[str, float]


def _tpu(title: str, topology: str, bandwidth: float, peak: float) -> Chip:
    dtypes = ("float32", "bfloat16", "float16")
    return Chip(title, "tpu", topology, bandwidth, dict.fromkeys(dtypes, peak))


# TPUs: jax/_src/tpu_info.py of JAX 0.12, whole chips. H200: NVIDIA's data sheet of the
# SXM module, without sparsity.
CHIPS = {
    "v4": _tpu("TPU v4", "v4:2x2x1", 1.23e12, 2.75e14),
    "v5e": _tpu("TPU v5e", "v5e:2x2", 8.2e11, 1.97e14),
    "v5p": _tpu("TPU v5p", "v5p:2x2x1", 2.46e12, 4.59e14),
    "v6e": _tpu("TPU v6e", "v6e:2x2", 1.64e12, 9.20e14),
    "7x": _tpu("TPU 7x", "tpu7x:2x2x1", 7.40e12, 2.31e15),
    "h200": Chip(
        "NVIDIA H200",
        "cuda",
        "1x1x1",
        4.8e12,
        {"float32": 4.945e14, "bfloat16": 9.89e14, "float16": 9.89e14},
    ),
}
