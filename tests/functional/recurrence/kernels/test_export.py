"""One program for several platforms, with a kernel in the part of its own platform."""

import functools
import re
from collections import Counter

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractDevice, AbstractMesh, AxisType
from jax.sharding import PartitionSpec as P

from jaxnets import functional as F


PARAMS, X = F.init_rnn(jax.random.key(0), 3, 2), jnp.ones((2, 5, 3))
TPU = AbstractDevice("TPU v5 lite", 1, "tpu")
TIMED = "jaxnets.functional.recurrence.kernels.candidate.TIMED_KINDS"


def value_and_gradients(params, x, implementation=None):
    def loss(params, x):
        return jnp.sum(F.rnn(params, x, implementation=implementation)[1])

    return jax.value_and_grad(loss, (0, 1))(params, x)


def exported_with_kernels(run, *platforms, x=X):
    """Return the program, and how often it launches the kernels of each platform."""
    exported = jax.export.export(jax.jit(run), platforms=platforms)(PARAMS, x)
    launches = re.findall(r"@(mosaic_gpu|tpu_custom)", exported.mlir_module())
    return exported, Counter(launches)


def assert_close(actual, expected):
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5), actual, expected
    )


@pytest.fixture
def timed_tpu(monkeypatch):
    """Compile for a TPU on which the kernels were timed."""
    monkeypatch.setattr(TIMED, {TPU.device_kind})
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    with jax.sharding.use_abstract_mesh(AbstractMesh((), (), abstract_device=TPU)):
        yield


@pytest.mark.parametrize("platforms", [("cpu", "tpu"), ("tpu", "cuda", "cpu")])
def test_only_the_part_for_tpus_has_the_kernels_chosen_for_them(platforms, timed_tpu):
    run = value_and_gradients
    exported, launches = exported_with_kernels(run, *platforms)
    assert launches == {"tpu_custom": 2}
    # XLA refuses kernels in what it compiles for CPUs.
    assert_close(exported.call(PARAMS, X), run(PARAMS, X, "scan"))


def test_under_vmap_and_shard_map(timed_tpu):
    rows = jnp.arange(4.0)[:, None, None] * X[:1]
    mapped = jax.vmap(lambda params, x: F.rnn(params, x)[1], (None, 0))
    exported, launches = exported_with_kernels(mapped, "cpu", "tpu", x=rows)
    assert launches == {"tpu_custom": 1}
    assert_close(exported.call(PARAMS, rows), mapped(PARAMS, rows))
    mesh = AbstractMesh((2,), ("d",), (AxisType.Auto,), abstract_device=TPU)
    gradient = lambda params, x: value_and_gradients(params, x)[1][0]
    shards = {"in_specs": (P(), P("d")), "out_specs": P()}
    sharded = jax.shard_map(gradient, mesh=mesh, **shards)
    assert exported_with_kernels(sharded, "cpu", "tpu")[1] == {"tpu_custom": 2}


def test_kernels_that_are_forced_on_each_platform_that_has_one():
    forced = functools.partial(value_and_gradients, implementation="pallas")
    _, launches = exported_with_kernels(forced, "cuda", "tpu")
    assert launches == {"mosaic_gpu": 2, "tpu_custom": 2}
    with pytest.raises(ValueError, match="cannot run here: needs a TPU, or a GPU"):
        exported_with_kernels(forced, "cpu", "tpu")
