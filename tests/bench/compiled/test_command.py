"""`jaxnets bench --compile-for`, with the CPU's compiler in place of another."""

import jax
import jax.numpy as jnp
import pytest

from jaxnets.bench.compiled import pages
from jaxnets.bench.compiled.chips import CHIPS
from jaxnets.bench.compiled.cost import Cost
from jaxnets.bench.compiled.figures import (
    RATIOS,
    CompiledCase,
    figures_of,
    read_compiled_record,
)
from jaxnets.bench.grid import chosen_rows
from jaxnets.bench.options import CHIP_NAMES, Options
from jaxnets.cli import main


@pytest.fixture
def on_cpu(monkeypatch):
    """Compile for the CPU instead, whose programs have the same form."""
    devices = lambda chip: jax.devices("cpu")
    monkeypatch.setattr("jaxnets.bench.compiled.compiler.devices_of", devices)
    packages = {"tpu": "pytest", "cuda": "pytest"}
    monkeypatch.setattr("jaxnets.bench.compiled.compiler.PACKAGES", packages)


def test_a_run_prints_and_writes_what_it_compiled(on_cpu, tmp_path, capsys):
    files = {"--json": tmp_path / "ops.json", "--markdown": tmp_path / "ops.md"}
    arguments = ["bench", "ops", "--compile-for", "v5e", "--batch", "1"]
    arguments += ["--rows", "avg_pool*k8"]
    arguments += [str(word) for pair in files.items() for word in pair]
    assert main(arguments) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == (
        "Compiled for TPU v5e, not run: nothing here was timed on any device."
    )
    page = files["--markdown"].read_text()
    assert page.splitlines()[0] == first
    record = read_compiled_record(files["--json"].read_text())
    assert record.suite == "ops" and record.chip["name"] == "v5e"
    assert record.environment["jax"]
    assert record.environment["pytest"] == pytest.__version__
    names = [case.name for case in record.cases]
    row = "avg_pool 1x64x64x16 k8 s8"
    assert names == [row, row, f"{row} bfloat16", f"{row} bfloat16"]
    for case in record.cases:
        assert set(case.programs) == {"ours", "flax"}
        for found in case.programs.values():
            # At least the input is read.
            assert found.main_bytes >= 64 * 64 * 16 * 2 and found.kernels > 0
            assert found.roofline_seconds >= found.main_bytes / 8.2e11
            # The input and the result, and for gradients both cotangents. Of a tuple of
            # results XLA counts the pointers too.
            size = jnp.dtype(case.spec["dtype"]).itemsize
            elements = 64 * 64 * 16 + 8 * 8 * 16
            passes = 1 if case.direction == "forward" else 2
            assert 0 <= found.minimum_bytes - passes * elements * size <= 16
            assert found.over_minimum("bytes") == found.bytes / found.minimum_bytes
        ratio = case.programs["flax"].bytes / case.programs["ours"].bytes
        assert case.over_ours("flax", "bytes") == ratio
    ours = [line for line in lines if line.startswith(row) and " ours " in line]
    assert len(ours) == 4
    summary = [line.split("  ") for line in lines if line.startswith("avg_pool  ")]
    shown = [[cell.strip() for cell in cells if cell.strip()] for cells in summary]
    assert [cells[2] for cells in shown] == 2 * list(RATIOS)


def test_a_program_that_does_not_compile_is_left_out(on_cpu, monkeypatch, capsys):
    def fail(compiler, program):
        raise RuntimeError("Mosaic failed: no such thing\nand a long dump")

    monkeypatch.setattr("jaxnets.bench.compiled.compiler.Compiler.compile", fail)
    arguments = ["bench", "ops", "--compile-for", "v6e", "--rows", "avg_pool*k8"]
    assert main([*arguments, "--batch", "1"]) == 0
    said = capsys.readouterr().out
    assert "flax did not compile: Mosaic failed: no such thing\n" in said
    assert "dump" not in said


@pytest.mark.parametrize(("chip", "extra"), [("v5p", "tpu"), ("h200", "cuda")])
def test_a_missing_compiler_is_told_in_one_line(chip, extra, monkeypatch, capsys):
    def missing(**names):
        raise NotImplementedError("topology not implemented")

    monkeypatch.setattr("jax.experimental.topologies.get_topology_desc", missing)
    assert main(["bench", "--compile-for", chip]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    command = (
        f"uv run --isolated --extra {extra} jaxnets bench ops --compile-for {chip}"
    )
    assert command in said and "topology not implemented" in said


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["ops", "--compile-for", "v5e", "--quick"], "--quick and --rounds say how"),
        (["ops", "--compile-for", "v5e", "--rounds", "3"], "--quick and --rounds say"),
        (["ops", "--compile-for", "v5e", "--peers", "torch"], "wanted flax or none"),
        (["gradflow", "--compile-for", "v5e"], "the suite is gradflow"),
        (["ops", "--compile-for", "v9"], "choose from"),
    ],
)
def test_options_without_meaning_are_told(words, error, capsys):
    assert main(["bench", *words]) == 2
    assert error in capsys.readouterr().err


def test_a_script_gets_the_same_error(unchecked_annotations):
    with pytest.raises(ValueError, match="--compile-for is 'v9'; wanted one of v4"):
        Options(compile_for="v9")  # pyright: ignore[reportArgumentType]


def test_rows_are_taken_in_both_dtypes():
    count = lambda **options: len(chosen_rows(Options(rows="max_pool", **options)))
    assert count(compile_for="h200") == 2 * count()
    assert count(compile_for="h200", dtype="bfloat16") == count()
    training = chosen_rows(Options("training", compile_for="h200"))
    assert [row.spec["dtype"] for row in training] == ["float32"] * 2


def test_every_chip_has_a_roofline():
    assert tuple(CHIPS) == CHIP_NAMES
    cost = Cost(moved=9e9, main=4.8e9, flops=2 * 9.89e11, kernels=3)
    found = figures_of(cost, CHIPS["h200"], "bfloat16", 0, 0, 1.0)
    assert found.roofline_seconds == pytest.approx(2e-3)
    slower = figures_of(cost, CHIPS["h200"], "float32", 0, 0, 1.0)
    assert slower.roofline_seconds == pytest.approx(4e-3)


def test_flax_over_the_minimum_bounds_flax_over_ours():
    flax, ours = (
        figures_of(Cost(moved, main), CHIPS["v5e"], "float32", 100, 0, 1.0)
        for moved, main in ((300.0, 120.0), (150.0, 100.0))
    )
    case = CompiledCase("a row", "ops", "forward", {}, {"ours": ours, "flax": flax})
    shown = dict(zip(pages.HEADER, pages.lines(case)[1], strict=True))
    assert shown["bytes / minimum"] == "3.00" and shown["bytes / ours"] == "2.00"
    assert shown["main memory / minimum"] == shown["main memory / ours"] == "1.20"
    assert pages.lines(case)[0][9:] == ["1.50", "1.00", "-", "-", "-"]
    means = {row[2]: row[3] for row in pages.summary_rows([case])}
    assert means["bytes, Flax / minimum"] == "3.00"
    assert means["bytes, Flax / ours"] == "2.00"
    nothing = figures_of(Cost(), CHIPS["v5e"], "float32", 0, 0, 1.0)
    assert nothing.over_minimum("bytes") is None


def test_a_loop_of_unknown_length_is_marked():
    known, unknown = (
        figures_of(Cost(1e6, 1e6, 1e9, 7, loops), CHIPS["v5e"], "float32", 0, 0, 1.0)
        for loops in (0, 1)
    )
    programs = {"ours": known, "flax": unknown}
    case = CompiledCase("a row", "ops", "forward", {}, programs)
    ours, flax = pages.lines(case)
    assert ours[3] == "1 MB" and flax[3] == "at least 1 MB"
    assert ours[6] == "7" and flax[6] == "at least 7"
    assert ours[-1] == "-" and flax[-1] == "1.00"
