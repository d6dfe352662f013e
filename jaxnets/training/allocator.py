"""What memory that a program touches for the first time costs on this machine."""

import statistics
import time
from ctypes.util import find_library
from typing import NamedTuple

import jax
import jax.numpy as jnp


# glibc returns blocks above 32 MiB to the system when they are freed.
MIB = 64
CALLS, BEFORE = 3, 2
# A smaller share of pages that fault at every call costs next to nothing.
FEW = 0.1
PAGE = 4096


class NewMemory(NamedTuple):
    """What a call costs that writes a large result.

    Attributes:
        faults: Page faults of a call.
        new: Seconds of a call whose result is new memory.
        kept: Seconds of a call whose result takes the place of its argument.
    """

    faults: int
    new: float
    kept: float


def probe_allocator() -> NewMemory | None:
    """Measure the allocator of a CPU; None on other platforms and without Unix.

    Example:
        >>> found = probe_allocator()
        >>> found is None or found.new > 0
        True
    """
    try:
        import resource
    except ImportError:
        return None
    if jax.default_backend() != "cpu":
        return None
    fill = lambda x, value: jnp.full_like(x, value)
    new = jax.jit(fill)
    kept = jax.jit(fill, donate_argnums=0, keep_unused=True)
    array = jax.block_until_ready(jnp.zeros(MIB * 2**18, jnp.float32))
    faults, seconds = [], {new: [], kept: []}
    for function in (new, kept):
        for _ in range(BEFORE + CALLS):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            started = time.perf_counter()
            result = jax.block_until_ready(function(array, 1.0))
            seconds[function].append(time.perf_counter() - started)
            if function is new:
                after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
                faults.append(after - before)
            else:
                array = result
            del result
    median = lambda values: statistics.median(values[BEFORE:])
    return NewMemory(int(median(faults)), median(seconds[new]), median(seconds[kept]))


def allocator_row(found: NewMemory) -> str:
    """Return what was found, and the line that mends it, in words.

    Example:
        >>> allocator_row(NewMemory(faults=0, new=0.008, kept=0.008))
        'filling 64 MiB takes 8 ms in new memory, and 8 ms in memory that is reused'
    """
    text = (
        f"filling {MIB} MiB takes {1e3 * found.new:.0f} ms in new memory, and "
        f"{1e3 * found.kept:.0f} ms in memory that is reused"
    )
    if found.faults * PAGE < FEW * MIB * 2**20:
        return text
    library = find_library("tcmalloc_minimal") or find_library("tcmalloc")
    install = "" if library else "install libtcmalloc-minimal4 (Debian, Ubuntu) and "
    return (
        f"{text}: each call gets {found.faults:,} new pages. To reuse them, "
        f"{install}put LD_PRELOAD={library or 'libtcmalloc_minimal.so.4'} before the "
        "command"
    )
