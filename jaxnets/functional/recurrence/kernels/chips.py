"""The VMEM of the TPUs that are known, and the chips that were timed."""

from typing import NamedTuple


class Chip(NamedTuple):
    """What a kernel for TPUs must know of a chip.

    Attributes:
        name: Its name in messages.
        vmem: Bytes of VMEM of a core.
    """

    name: str
    vmem: int


_MIB = 2**20

# By the `device_kind` of JAX, without spaces and in lower case. Source:
# `jax._src.tpu_info`.
_CHIPS = {
    "tpuv4": Chip("TPU v4", 16 * _MIB),
    "tpuv5lite": Chip("TPU v5e", 128 * _MIB),
    "tpuv5e": Chip("TPU v5e", 128 * _MIB),
    "tpuv5": Chip("TPU v5p", 64 * _MIB),
    "tpuv5p": Chip("TPU v5p", 64 * _MIB),
    "tpuv6lite": Chip("TPU v6e", 128 * _MIB),
    "tpuv6e": Chip("TPU v6e", 128 * _MIB),
    "tpu7x": Chip("TPU 7x", 64 * _MIB),
}

# The `device_kind`s on which the kernels were timed and found faster than the loops. On
# others they run only if `implementation` names them.
TIMED_KINDS: frozenset[str] = frozenset()


def find_chip(kind: str | None) -> Chip | None:
    """Return the TPU of a `device_kind`, or None if it is not known.

    Example:
        >>> find_chip("TPU v5 lite").name
        'TPU v5e'
    """
    squeezed = (kind or "").lower().replace(" ", "")
    return _CHIPS.get(squeezed)
