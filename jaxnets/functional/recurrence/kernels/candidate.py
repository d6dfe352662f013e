"""The persistent kernels as the implementation "pallas", and when they can run."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.choices import Candidate
from jaxnets.functional.recurrence.cell import BoundCell, Kernel
from jaxnets.functional.recurrence.cell_options import CellOptions, Draws
from jaxnets.functional.recurrence.kernels import hopper
from jaxnets.functional.recurrence.kernels.chips import TIMED_KINDS
from jaxnets.functional.recurrence.kernels.persistent import Passes, persistent_scan
from jaxnets.functional.recurrence.kernels.tpu import blocks
from jaxnets.functional.recurrence.time.options import ScanOptions
from jaxnets.functional.shared.sharding import partition_spec
from jaxnets.platforms import default_platform, run_only_on
from jaxnets.tap import is_measuring


# For each platform that has kernels, the function that returns why a size does not fit
# its chips. The kernels are imported when they run: Pallas takes a second to import.
_FITS = {"tpu": blocks.fits, "cuda": hopper.fits}

# Tests set this to run the kernels on any machine: a pair of the platform whose kernels
# are interpreted, and the argument `interpret` of `pl.pallas_call`. JAX does not reuse
# a program that was traced with another value.
interpreted = jax.make_user_context(default_value=None)


def pallas_kernel(
    name: str, bind: Callable[..., BoundCell], **switches: bool
) -> Kernel:
    """Return "pallas" as an implementation of a cell.

    Args:
        name: The name of the cell.
        bind: As in `Cell`.
        **switches: The switches of the cell in its standard form.
    """

    def candidate(
        platform: str,
        nonstandard: str | None,
        params: Any,
        x: jax.Array,
        lead: tuple[Any, ...],
        options: ScanOptions,
    ) -> Candidate:
        """Return the candidate "pallas" for these arguments."""
        chips = interpreted.value[0] if interpreted.value else platform
        if chips not in _FITS:
            needed = "needs a TPU, or a GPU of the Hopper generation"
            return Candidate("pallas", needed, possible=False)
        kind = _device_kind(platform)
        reason = _obstacle(nonstandard, x, lead, options)
        if reason is None:
            batch, hidden = math.prod(lead[1:]), params.w_hh.shape[0]
            reason = _FITS[chips](name, batch, hidden, x.dtype, kind)
        if reason is not None:
            return Candidate("pallas", reason, possible=False)
        return Candidate("pallas", _against(kind))

    def run(
        platform: str, params: Any, x: jax.Array, state: Any, options: ScanOptions
    ) -> tuple[Any, jax.Array]:
        """Run the cell with the kernels of `platform`."""
        bound = bind(params, CellOptions(switches=switches), None, Draws())
        return persistent_scan(_passes(platform), bound, state, x, options)

    return Kernel("pallas", candidate, run)


def _obstacle(
    nonstandard: str | None, x: jax.Array, lead: tuple[Any, ...], options: ScanOptions
) -> str | None:
    """Return why no kernel can compute this call, or None."""
    unsupported = {
        "`checkpoint`": options.segment is not None,
        "`truncate`": options.cuts is not None,
        "taps, which `measure` needs; 'split' does": is_measuring(),
        "a symbolic size": not all(isinstance(size, int) for size in lead),
    }
    found = nonstandard or next((n for n, used in unsupported.items() if used), None)
    if found is not None:
        return f"does not support {found}"
    if x.dtype not in (jnp.float32, jnp.bfloat16):
        return f"supports float32 and bfloat16 only, not {x.dtype}"
    if 0 in lead:
        return "needs at least one step and one sequence"
    if any(partition_spec(x)):
        return "cannot be partitioned: call it inside `jax.shard_map`"
    return None


def _against(kind: str | None) -> str | None:
    """Return the reason not to choose a kernel that can run, or None."""
    if kind not in TIMED_KINDS:
        device = "this kind of device" if kind is None else kind
        return f"was not timed on {device}: runs only if it is named"
    inside = bool(jax.sharding.get_abstract_mesh().manual_axes)
    if jax.device_count() > 1 and not inside:
        return "is not partitioned: with several devices only inside `jax.shard_map`"
    return None


def _device_kind(platform: str) -> str | None:
    """Return the `device_kind` that the program is for, or None if it is not known.

    A program that is compiled ahead of time may name the device in its mesh.
    """
    ahead = jax.sharding.get_abstract_mesh().abstract_device
    if ahead is not None:
        names = (None, platform, "gpu" if platform in ("cuda", "rocm") else platform)
        return ahead.device_kind if ahead.platform in names else None
    return jax.devices()[0].device_kind if default_platform() == platform else None


def _passes(platform: str) -> Passes:
    """Return the kernels of a platform."""
    from jaxnets.functional.recurrence.kernels.tpu import passes

    chips: dict[str, Any] = {"tpu": passes, "cuda": hopper}
    if interpreted.value:
        chip, interpret = interpreted.value
        run = lambda kernel: functools.partial(kernel, interpret=interpret)
    else:
        chip = platform
        run = lambda kernel: functools.partial(_run_kernel, platform, kernel)
    return Passes(run(chips[chip].forward), run(chips[chip].backward))


def _run_kernel(
    platform: str, kernel: Callable[..., Any], cell: str, *arrays: Any, reverse: bool
) -> Any:
    """Run a kernel, which only `platform` can lower."""
    kernel = functools.partial(kernel, cell, reverse=reverse)
    return run_only_on(platform, kernel, *arrays)
