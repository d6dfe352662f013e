"""Compiles programs for a chip that is not here."""

import importlib.metadata
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies
from jax.sharding import (
    AbstractDevice,
    AbstractMesh,
    SingleDeviceSharding,
    use_abstract_mesh,
)

from jaxnets.bench.cases import Program
from jaxnets.bench.compiled.chips import CHIPS
from jaxnets.bench.compiled.cost import Cost, cost_of
from jaxnets.bench.compiled.hlo import read_module


# With these, libtpu does not ask the cloud which machine this is, and other processes
# may compile at the same time.
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
# Without a GPU, XLA cannot time the variants of a kernel to choose the fastest.
COMPILER_OPTIONS = {"tpu": {}, "cuda": {"xla_gpu_autotune_level": 0}}
# The package that has the compiler.
PACKAGES = {"tpu": "libtpu", "cuda": "jax-cuda13-pjrt"}


class Compiled(NamedTuple):
    """A program that was compiled.

    Attributes:
        cost: What it costs.
        minimum_bytes: The bytes of its arguments and results.
        temp_bytes: The main memory that it needs beside arguments and results.
        seconds: The seconds that the compiler took.
    """

    cost: Cost
    minimum_bytes: int
    temp_bytes: int
    seconds: float


class Compiler:
    """The compiler of one chip.

    Args:
        chip: Name of the chip, one of `CHIPS`.

    Raises:
        ValueError: If the compiler is not installed.
    """

    def __init__(self, chip: str):
        self.platform = CHIPS[chip].platform
        device = devices_of(chip)[0]
        self._sharding = SingleDeviceSharding(device)
        # Pallas reads the kind of device from a mesh, since there is no device.
        cores = {"tpu": "num_cores", "cuda": "core_count"}[self.platform]
        abstract = AbstractDevice(
            device_kind=device.device_kind,
            num_cores=getattr(device, cores, None),
            platform=device.platform,
        )
        self._mesh = AbstractMesh((), (), abstract_device=abstract)

    @property
    def version(self) -> dict[str, str]:
        """The package of the compiler, with its version."""
        package = PACKAGES[self.platform]
        return {package: importlib.metadata.version(package)}

    def lower(self, program: Program) -> jax.stages.Lowered:
        """Trace and lower a program for the chip."""
        arguments = jax.tree.map(self._abstract, program.arguments)
        with use_abstract_mesh(self._mesh):
            return jax.jit(program.function).lower(*arguments)

    def compile(self, program: Program) -> Compiled:
        """Compile a program as `jax.jit` does, and read what it costs."""
        lowered = self.lower(program)
        started = time.perf_counter()
        compiled = lowered.compile(COMPILER_OPTIONS[self.platform])
        seconds = time.perf_counter() - started
        module = read_module(compiled.as_text() or "", self.platform)
        memory = compiled.memory_analysis()
        temporary, arguments, results = (
            int(getattr(memory, f"{name}_size_in_bytes", 0))
            for name in ("temp", "argument", "output")
        )
        return Compiled(cost_of(module), arguments + results, temporary, seconds)

    def _abstract(self, leaf: Any) -> jax.ShapeDtypeStruct:
        leaf = jax.typeof(leaf)
        return jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=self._sharding, weak_type=leaf.weak_type
        )


def devices_of(chip: str) -> Any:
    """Return devices that programs can be compiled for: four TPUs, or one GPU."""
    _, platform, topology, _, _ = CHIPS[chip]
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # The arrays of a suite are made on the CPU; no accelerator is initialized.
    jax.config.update("jax_platforms", "cpu")
    jax.devices()
    names = {"topology_name": topology}
    if platform == "cuda":
        config = Path(__file__).with_name(f"{chip}.pbtxt").read_text()
        names = {"target_config": config, "topology": topology}
    try:
        return topologies.get_topology_desc(platform=platform, **names).devices
    except Exception as error:
        # The type of the exception depends on what is missing.
        raise ValueError(
            f"--compile-for {chip} needs the compiler of that chip, which this "
            f"environment lacks. Try: uv run --isolated --extra {platform} "
            f"jaxnets bench ops --compile-for {chip}. JAX says: {error}"
        ) from error
