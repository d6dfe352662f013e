"""Where the arrays of a run lie: on the devices of one process or of several."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


class Placement:
    """The mesh of a run, and the arrays on it.

    All devices share each batch. Along the second axis of the mesh the parameters are
    divided too: each array along its longest axis that is divisible.

    Args:
        devices: Number of devices, the same number of each process.
        shards: Number of devices that each parameter is divided over.
        batch_size: Number of examples in a batch.

    Raises:
        ValueError: If there are not so many devices, they cannot be divided into groups
            of `shards` or among the processes, or they cannot share the batch.

    Example:
        >>> import numpy as np
        >>> placement = Placement(devices=1, shards=1, batch_size=4)
        >>> tree = placement.state({"w": np.ones(2, np.float32)})
        >>> placement.local(tree)["w"]
        Array([1., 1.], dtype=float32)
    """

    def __init__(self, devices: int, shards: int, batch_size: int):
        self._shards = shards
        self._mesh = _mesh(devices, shards, batch_size)
        self.whole = NamedSharding(self._mesh, PartitionSpec())
        self._gather = jax.jit(lambda tree: tree, out_shardings=self.whole)

    def state(self, tree: Any) -> Any:
        """Place arrays and keys that every process has, and divide the parameters."""
        return jax.tree.map(self._placed, tree)

    def batches(self, tree: Any) -> Any:
        """Place batches `(updates, examples, ...)` that every process has."""
        spec = PartitionSpec(None, self._mesh.axis_names)
        return jax.tree.map(lambda array: self._put(array, spec), tree)

    def local(self, tree: Any) -> Any:
        """Return a copy on one device of this process; all processes must call it."""
        copy = lambda array: jnp.array(array.addressable_data(0))
        return jax.tree.map(copy, self._gather(tree))

    def _placed(self, leaf: Any) -> jax.Array:
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return self._put(leaf, self._spec(leaf.shape))
        data = self._put(jax.random.key_data(leaf), PartitionSpec())
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))

    def _spec(self, shape: tuple[int, ...]) -> PartitionSpec:
        fitting = [n for n, size in enumerate(shape) if size % self._shards == 0]
        if self._shards == 1 or not fitting:
            return PartitionSpec()
        axis = max(fitting, key=lambda n: shape[n])
        return PartitionSpec(*[None] * axis, "parameters")

    def _put(self, leaf: Any, spec: PartitionSpec) -> jax.Array:
        array, sharding = np.asarray(leaf), NamedSharding(self._mesh, spec)
        # `jax.device_put` takes no devices of other processes.
        return jax.make_array_from_callback(
            array.shape, sharding, lambda index: array[index]
        )


def _mesh(devices: int, shards: int, batch_size: int) -> Mesh:
    found = jax.devices()
    processes = jax.process_count()
    if devices > len(found):
        raise ValueError(
            f"`devices` is {devices}, and JAX has {len(found)}; wanted at most "
            f"{len(found)}, also for a run that is resumed. To try several on one CPU, "
            f"put `JAX_NUM_CPU_DEVICES={devices}` before the command."
        )
    for number, what in ((processes, "processes"), (shards, "`shards`")):
        if devices % number:
            raise ValueError(
                f"`devices` is {devices}, and there are {number} {what}; wanted a "
                f"multiple of {number} devices."
            )
    if batch_size % devices:
        raise ValueError(
            f"`batch_size` is {batch_size}, which {devices} devices cannot share; "
            f"wanted a multiple of {devices}."
        )
    each = devices // processes
    of_process = lambda p: [d for d in found if d.process_index == p][:each]
    chosen = [of_process(index) for index in range(processes)]
    return Mesh(np.array(chosen).reshape(-1, shards), ("data", "parameters"))
