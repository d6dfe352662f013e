"""Every function with its batch on eight devices, and exported with a symbolic one.

`tests/conftest.py` asks for the CPU devices. The batch of a case is repeated, so that
each device has one of its size. The objective is a sum over examples, so its gradients
are those of one device, and nothing but the gradients of parameters needs to travel.
The export is for several platforms at once. Where a wrong program is an error while JAX
traces, as on explicit meshes, every case is traced and each kind of case is run.
"""

import functools
import re

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxnets.functional.recurrence.cells import CELLS
from tests.functional import cases_distribution, test_transforms
from tests.functional.kinds import KINDS, each_kind


# A step is what the loops of the other cases run. The loops are the same for all cells.
CASES = [
    case
    for case in [*test_transforms.CASES, *cases_distribution.CASES]
    if case.batched
    and not case.name.endswith("-step")
    and (case.name in KINDS or not case.name.startswith(tuple(CELLS)))
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
# Operations of a compiled program that move data between devices.
COLLECTIVE = re.compile(
    r" (all-gather|all-to-all|collective-permute|collective-broadcast|reduce-scatter"
    r"|ragged-all-to-all)(?:-start)?\("
)


def objective(case, arrays, examples):
    """A sum over examples and positions, nonlinear so that cotangents differ."""
    total = jnp.zeros((), jnp.float32)
    for leaf in test_transforms.floats(case.function(*arrays, **examples)):
        weights = np.cos(np.arange(leaf.shape[-1])).astype(leaf.dtype)
        total += jnp.dot(jnp.sin(leaf), weights).sum()
    return total


def value_and_gradients(case):
    return jax.value_and_grad(functools.partial(objective, case))


def repeated(case):
    """Return the arrays and examples, with eight times as many examples."""
    scales = np.linspace(1, 0.5, 8).astype(np.float32)
    arrays = tuple(
        np.concatenate([s * a for s in scales], case.batched[i])
        if i in case.batched
        else a
        for i, a in enumerate(case.arrays)
    )
    repeat = lambda a: np.concatenate([a, a[::-1]] * 4)
    return arrays, {name: repeat(a) for name, a in case.examples.items()}


def specs(case, axis):
    """Return the partition of the arrays and of the examples over a mesh axis."""
    spec = lambda position: PartitionSpec(*[None] * position, axis)
    arrays = tuple(
        spec(case.batched[i]) if i in case.batched else PartitionSpec()
        for i in range(len(case.arrays))
    )
    return arrays, dict.fromkeys(case.examples, spec(0))


@functools.cache
def expected(name):
    """Return value and gradients on one device."""
    case = next(case for case in CASES if case.name == name)
    return jax.jit(value_and_gradients(case))(*repeated(case))


def mesh_of(kind):
    return jax.make_mesh((8,), ("data",), axis_types=(kind,))


def placed(mesh, case):
    place = lambda spec, a: jax.device_put(a, NamedSharding(mesh, spec))
    is_spec = lambda leaf: isinstance(leaf, PartitionSpec)
    return jax.tree.map(place, specs(case, "data"), repeated(case), is_leaf=is_spec)


def assert_close(actual, wanted):
    test_transforms.assert_close(actual, wanted, 1e-4)


@every_case
def test_data_parallel_step_only_reduces_gradients(case):
    step = jax.jit(value_and_gradients(case))
    arguments = placed(mesh_of(AxisType.Auto), case)
    compiled = step.lower(*arguments).compile()
    assert set(COLLECTIVE.findall(compiled.as_text() or "")) == set()
    assert_close(compiled(*arguments), expected(case.name))


@every_case
def test_explicit_mesh(case):
    mesh = mesh_of(AxisType.Explicit)
    with jax.set_mesh(mesh):
        traced = jax.jit(value_and_gradients(case)).trace(*placed(mesh, case))
        if case.name in KINDS:
            found = traced.lower().compile()(*placed(mesh, case))
            assert_close(found, expected(case.name))
    arrays, _ = specs(case, "data")
    for spec, gradient in zip(arrays, traced.out_info[1], strict=True):
        wanted = NamedSharding(mesh.abstract_mesh, spec)
        assert gradient.sharding.is_equivalent_to(wanted, len(gradient.shape))


def sharded(case, function, out_specs):
    """Return `function(case, arrays, examples)` in `jax.shard_map`, summed up."""

    def local(arrays, examples):
        value, *gradients = function(case, arrays, examples)
        return jax.lax.psum(value, "data"), *gradients

    mesh, in_specs = mesh_of(AxisType.Auto), specs(case, "data")
    return jax.shard_map(local, mesh=mesh, in_specs=in_specs, out_specs=out_specs)


@every_case
def test_differentiated_around_shard_map(case):
    around = sharded(case, lambda *a: (objective(*a),), (PartitionSpec(),))
    run = jax.jit(jax.value_and_grad(lambda *a: around(*a)[0]))
    lowered = run.lower(*repeated(case))
    # The value travels, and the gradient of each parameter once for each time that the
    # case passes it to a function.
    parameters = len(case.arrays) - len(case.batched)
    uses = 2 if case.name in ("bidirectional", "solve_in_parallel") else 1
    travelling = lowered.as_text().count("stablehlo.all_reduce")
    assert travelling <= 1 + uses * parameters
    if case.name in KINDS:
        assert_close(lowered.compile()(*repeated(case)), expected(case.name))


@each_kind(CASES)
def test_differentiated_inside_shard_map(case):
    inside = lambda case, *a: value_and_gradients(case)(*a)
    out_specs = PartitionSpec(), specs(case, "data")[0]
    run = jax.jit(sharded(case, inside, out_specs))
    assert_close(run(*repeated(case)), expected(case.name))


def exported(case):
    """Return the case exported for several platforms, with a symbolic batch."""
    arrays, examples = repeated(case)
    (batch,) = jax.export.symbolic_shape("batch")

    def symbolic(a, axis):
        shape = (
            a.shape if axis is None else (*a.shape[:axis], batch, *a.shape[axis + 1 :])
        )
        return jax.ShapeDtypeStruct(shape, jnp.asarray(a).dtype)

    arguments = (
        tuple(symbolic(a, case.batched.get(i)) for i, a in enumerate(arrays)),
        {name: symbolic(a, 0) for name, a in examples.items()},
    )
    run = jax.jit(value_and_gradients(case))
    return jax.export.export(run, platforms=("cpu", "cuda", "tpu"))(*arguments)


@every_case
def test_export_with_symbolic_batch(case):
    program = exported(case)
    if case.name in KINDS:
        assert_close(program.call(*repeated(case)), expected(case.name))
