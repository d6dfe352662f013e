"""A run that compiles a suite for a chip, prints the costs, and writes files."""

import dataclasses

from jaxnets.bench.cases import Case
from jaxnets.bench.compiled import pages
from jaxnets.bench.compiled.chips import CHIPS
from jaxnets.bench.compiled.compiler import Compiler
from jaxnets.bench.compiled.figures import CompiledCase, CompiledRecord, figures_of
from jaxnets.bench.grid import Row
from jaxnets.bench.options import Options
from jaxnets.bench.record import write_files
from jaxnets.bench.suites import CASES
from jaxnets.bench.suites.recurrent import WITH_KERNELS
from jaxnets.bench.tables import aligned, facts
from jaxnets.runs.files import printable
from jaxnets.training.machine import environment


# The program whose layers are not in a loop. It takes by far the longest to compile,
# and is not compared with Flax.
LEFT_OUT = ("outside",)


def compile_suite(options: Options, rows: list[Row]) -> None:
    """Compile the rows for a chip, and print and write what their programs cost.

    An interrupted run writes its files too, with the cases that it finished.

    Args:
        options: Of these, `compile_for` names the chip.
        rows: The rows of the suite.

    Raises:
        ValueError: If the compiler for that chip is not installed.
    """
    rows = [*map(with_kernels, rows)]
    chip = CHIPS[str(options.compile_for)]
    compiler = Compiler(str(options.compile_for))
    known = {"name": options.compile_for, **chip._asdict()}
    facts_here = {"command": options.command, **environment(), **compiler.version}
    record = CompiledRecord(options.suite, known, facts_here, [])
    print(pages.title(record), pages.chip_facts(record), sep="\n")
    print(facts(record.environment), pages.LEGEND, sep="\n\n", end="\n\n")
    titles = [max(len(title), 11) for title in pages.HEADER[1:]]
    widths = [max(len(row.name) for row in rows), *titles]
    print(aligned(pages.HEADER, widths), flush=True)
    try:
        for row in rows:
            for case in CASES[options.suite](row):
                record.cases.append(_compile(compiler, str(options.compile_for), case))
                for line in pages.lines(record.cases[-1]):
                    print(aligned(line, widths), flush=True)
                for who, reason in record.cases[-1].skipped.items():
                    print(f"  {who} did not compile: {reason}", flush=True)
    finally:
        write_files(record, pages.markdown_page, options)
    print(pages.summary(record))


def with_kernels(row: Row) -> Row:
    """Return a row whose forms have the Pallas kernel among them, if it has forms."""
    if "forms" not in row.spec:
        return row
    return dataclasses.replace(row, spec=row.spec | {"forms": WITH_KERNELS})


def _compile(compiler: Compiler, name: str, case: Case) -> CompiledCase:
    programs, skipped = {}, {}
    for who, program in case.programs.items():
        if who in LEFT_OUT:
            continue
        try:
            found = compiler.compile(program)
        except Exception as error:
            # Which exception it is depends on the compiler. The other rows compile.
            skipped[who] = printable(str(error).partition("\n")[0])
            continue
        programs[who] = figures_of(
            found.cost,
            CHIPS[name],
            case.row.spec["dtype"],
            found.minimum_bytes,
            found.temp_bytes,
            found.seconds,
        )
    row = case.row
    return CompiledCase(
        row.name, row.group, case.direction, row.spec, programs, skipped
    )
