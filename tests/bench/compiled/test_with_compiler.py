"""With the real compiler for TPUs: what is read agrees with what it says itself."""

import jax
import pytest

from jaxnets.bench.cases import Program
from jaxnets.bench.compiled.compiler import Compiler
from jaxnets.bench.compiled.cost import cost_of
from jaxnets.bench.compiled.figures import read_compiled_record
from jaxnets.bench.compiled.hlo import arrays, read_module
from jaxnets.bench.grid import Row
from jaxnets.bench.suites import ops
from jaxnets.cli import main
from tests.bench.tiny import conv, pool


pytestmark = pytest.mark.tpu_compiler


@pytest.fixture(autouse=True)
def as_users_compile():
    """Let the compiler optimise, as it does outside the tests."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(scope="module")
def compiler():
    return Compiler("v5e")


@pytest.mark.parametrize(
    "row", [conv(), conv(dtype="bfloat16", strides=2), pool("avg_pool", 3, 1)]
)
def test_programs_without_loops_cost_what_xla_says(compiler, row):
    for case in ops.cases(row):
        compiled = compiler.lower(case.programs["flax"]).compile()
        module = read_module(compiled.as_text(), "tpu")
        found, wanted = cost_of(module), compiled.cost_analysis()
        assert found.flops == wanted["flops"]
        # XLA counts the end of a copy, which moves nothing, as a copy of its own, and
        # single numbers with the padding of their tiles.
        ends = sum(
            array.nbytes
            for each in module.computations[module.entry].instructions.values()
            for array in arrays(each.shape)
            if each.opcode.endswith("-done")
        )
        moved = pytest.approx(wanted["bytes accessed"], rel=0.05)
        assert found.moved + 2 * ends == moved


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_overlapping_maxima_move_less_than_those_of_flax(compiler, dtype):
    """Value and transpose share the copy to the layout that both reduce in."""
    spec = pool("max_pool", 3, 2).spec | {"dtype": dtype, "batch": 8}
    row = Row("max_pool", spec | {"spatial": [16, 16], "channels": 32})
    _, gradients = ops.cases(row)
    flax, ours = (
        compiler.compile(gradients.programs[who]).cost for who in ("flax", "ours")
    )
    assert ours.moved < 0.9 * flax.moved and ours.main < 0.9 * flax.main


def test_a_loop_of_ten_times_the_steps_costs_ten_times_as_much(compiler):
    def costs_of(steps):
        step = lambda h, x: (jax.numpy.tanh(h @ w + x), h)
        w = jax.numpy.ones((128, 128))
        scan = lambda x: jax.lax.scan(step, x[0], x)
        program = Program(scan, (jax.numpy.ones((steps, 32, 128)),))
        found = compiler.compile(program).cost
        assert found.loops == 0
        return found

    few, many = costs_of(10), costs_of(100)
    assert many.kernels == pytest.approx(10 * few.kernels, rel=0.1)
    assert many.moved == pytest.approx(10 * few.moved, rel=0.15)
    assert many.flops >= 100 * 2 * 32 * 128 * 128


def test_a_row_from_the_command_line(tmp_path, capsys):
    path = tmp_path / "ops.json"
    arguments = ["bench", "ops", "--compile-for", "v5e", "--batch", "1"]
    arguments += ["--rows", "max_pool*k8", "--dtype", "float32", "--json", str(path)]
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("Compiled for TPU v5e, not run")
    record = read_compiled_record(path.read_text())
    forward, gradients = record.cases
    for case in (forward, gradients):
        assert set(case.programs) == {"ours", "flax"} and not case.skipped
    # Reading and writing both arrays once, with the padding of 16 channels.
    flax = gradients.programs["flax"]
    assert flax.main_bytes >= 2 * 64 * 64 * 16 * 4 and flax.kernels >= 2
