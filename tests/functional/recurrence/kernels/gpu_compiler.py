"""A program that compiles the kernels for Hopper for an H200 that is not here.

`python -m tests.functional.recurrence.kernels.gpu_compiler` needs JAX's CUDA plugin,
which contains the compiler, and no GPU. It prints a JSON object of the failures.
"""

import os


# Before JAX is imported.
os.environ |= {"JAX_PLATFORMS": "cpu", "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1"}

import functools
import itertools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import (
    AbstractDevice,
    AbstractMesh,
    NamedSharding,
    PartitionSpec,
    SingleDeviceSharding,
)

from jaxnets.bench import compiled
from jaxnets.functional.recurrence.kernels import hopper
from jaxnets.functional.recurrence.kernels.gates import GATES
from tests.functional.recurrence.kernels.gpu_sizes import LARGEST


KIND = "NVIDIA H200"
TARGET = Path(compiled.__file__).with_name("h200.pbtxt").read_text()


def devices(count=1):
    jax.devices("cpu")
    names = {"topology_name": "", "target_config": TARGET, "topology": f"1x1x{count}"}
    return topologies.get_topology_desc(platform="cuda", **names).devices


def abstract_arguments(which, cell, dtype, sizes, *, masked):
    """Return the arguments of the forward or the backward kernel."""
    batch, time, hidden = sizes
    array, gates = jax.ShapeDtypeStruct, GATES[cell]
    steps = lambda count: array((time, batch, count * hidden), dtype)
    state = (array((batch, hidden), jnp.float32),) * (1 + (cell == "lstm"))
    codes = array((time, batch), jnp.int32) if masked else None
    w_hh = array((hidden, gates * hidden), dtype)
    if which == "forward":
        b_h = array((hidden,), jnp.float32) if cell == "gru" else None
        return steps(gates), w_hh, b_h, state, codes
    pre = (steps(gates), steps(1)) if cell == "gru" else (steps(gates),)
    c = (array((time, batch, hidden), jnp.float32),) if cell == "lstm" else ()
    return pre, w_hh, (steps(1), *c), codes, steps(1), state


def compile_kernel(function, arguments, sharding, axis=None):
    """Compile a program that must launch one kernel of ours.

    Args:
        function: The function.
        arguments: Its arguments, abstract.
        sharding: The device, or how a mesh has the arguments.
        axis: The size of an axis that all arguments get in front.
    """
    shape = lambda a: a.shape if axis is None else (axis, *a.shape)
    place = lambda a: jax.ShapeDtypeStruct(shape(a), a.dtype, sharding=sharding)
    # Pallas asks the mesh for the kind of device, since there is no device to ask.
    device = AbstractDevice(KIND, 132, "gpu")
    with jax.sharding.use_abstract_mesh(AbstractMesh((), (), abstract_device=device)):
        lowered = jax.jit(function).lower(*jax.tree.map(place, arguments))
    # Without a GPU, XLA cannot time which form of a kernel is fastest.
    compiled = lowered.compile(compiler_options={"xla_gpu_autotune_level": 0})
    text = compiled.as_text() or ""
    launches = text.count('custom_call_target="mosaic_gpu')
    if launches != 1:
        raise AssertionError(f"{launches} launches of our kernels")


def programs():
    """Yield names, functions, arguments, and what else `compile_kernel` needs."""
    device = SingleDeviceSharding(devices()[0])
    kernel = lambda which, cell: functools.partial(
        getattr(hopper, which), cell, reverse=which == "forward"
    )
    for which, cell, dtype, largest in itertools.product(
        ("forward", "backward"), GATES, LARGEST, (False, True)
    ):
        # Weights in registers, masks and several blocks are in half of the cases each.
        sizes = (3, 2, LARGEST[dtype][cell]) if largest else (300, 7, 60)
        given = abstract_arguments(which, cell, dtype, sizes, masked=not largest)
        yield f"{which} {cell} {dtype} {sizes}", kernel(which, cell), given, (device,)
    mesh = jax.sharding.Mesh(devices(2), ("d",))
    spec = PartitionSpec("d")
    for which, cell in (("forward", "gru"), ("backward", "lstm")):
        mapped = jax.vmap(kernel(which, cell))
        given = abstract_arguments(which, cell, "bfloat16", (3, 2, 60), masked=True)
        yield f"{which} vmap", mapped, given, (device, 2)
        # Each device has one element of the axis that is mapped.
        shards = {"mesh": mesh, "in_specs": spec, "out_specs": spec}
        sharded = jax.shard_map(lambda *a, run=mapped: run(*a), **shards)
        yield f"{which} shard_map", sharded, given, (NamedSharding(mesh, spec), 2)


def failures():
    """Return what the compiler says to each program that does not compile."""
    found = {}
    for wide in (False, True):
        jax.config.update("jax_enable_x64", wide)
        for name, function, arguments, others in programs():
            # Once more with 64 bits: a small program for each kernel.
            if wide and "bfloat16 (300" not in name:
                continue
            try:
                compile_kernel(function, arguments, *others)
            except Exception as error:
                found[f"{name}{' x64' * wide}"] = f"{type(error).__name__}: {error}"
    return found


if __name__ == "__main__":
    print(json.dumps(failures()))
