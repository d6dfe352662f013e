"""The figures of compiled programs as text."""

from collections.abc import Sequence

from jaxnets.bench.compiled.figures import (
    BOUNDED,
    COMPARED,
    RATIOS,
    CompiledCase,
    CompiledRecord,
)
from jaxnets.bench.measurement import summaries
from jaxnets.bench.tables import (
    SUMMARY_HEADER,
    facts,
    markdown_table,
    pass_of,
    summary_cells,
    text_table,
)


LEGEND = (
    "The minimum is the bytes of the arguments and results, which every program has to "
    "read and write. `/ ours` is a figure of that program over that of ours: above 1 "
    "ours has less. "
    "`time` is the roofline: bytes of main memory over its bandwidth, or operations "
    "over the peak of the matrix units, whichever takes longer. It is a bound, not a "
    "time that anything took."
)
HEADER = (
    "row",
    "pass",
    "program",
    "bytes",
    "main memory",
    "flops",
    "kernels",
    "temp",
    "time",
    *(f"{figure} / minimum" for figure in BOUNDED),
    *(f"{figure} / ours" for figure in COMPARED),
)
SUMMARY_TITLES = ["ratio" if t == "peer" else t for t in SUMMARY_HEADER]


def title(record: CompiledRecord) -> str:
    """Return the line that says what these figures are, and what they are not."""
    return (
        f"Compiled for {record.chip['title']}, not run: nothing here was timed on any "
        "device."
    )


def chip_facts(record: CompiledRecord) -> str:
    """Return the figures of the chip that the roofline uses, in one line."""
    peaks = ", ".join(
        f"{peak / 1e12:.4g} TFLOP/s in {dtype}"
        for dtype, peak in record.chip["peak"].items()
    )
    return (
        f"{record.chip['title']}: {record.chip['bandwidth'] / 1e12:.3g} TB/s, {peaks}"
    )


def lines(case: CompiledCase) -> list[list[str]]:
    """Return a line of cells for each contender, one for each title of `HEADER`."""
    found = []
    for who, each in case.programs.items():
        least = "at least " * bool(each.unknown_loops)
        ratios = [case.over_ours(who, figure) for figure in COMPARED]
        if who == "ours":
            ratios = [None] * len(COMPARED)
        found.append(
            [
                case.name,
                pass_of(case.direction),
                who,
                f"{least}{megabytes(each.bytes)}",
                megabytes(each.main_bytes),
                f"{each.flops / 1e9:.3g} G",
                f"{least}{each.kernels:,}",
                megabytes(each.temp_bytes),
                f"{1e6 * each.roofline_seconds:.3g} us",
                *map(ratio, [*map(each.over_minimum, BOUNDED), *ratios]),
            ]
        )
    return found


def ratio(found: float | None) -> str:
    """Return a ratio, or "-" if there is none."""
    return "-" if found is None else f"{found:.2f}"


def megabytes(number: int) -> str:
    """Return a number of bytes, such as "1.26 MB"."""
    return f"{number / 1e6:.3g} MB" if number < 1e8 else f"{number / 1e6:,.0f} MB"


def summary_rows(cases: Sequence[CompiledCase]) -> list[list[str]]:
    """Return the cells of the summary: the ratios of Flax's figures."""
    return [summary_cells(each) for each in summaries(cases, RATIOS)]


def summary(record: CompiledRecord) -> str:
    """Return the table of geometric means for the terminal."""
    rows = summary_rows(record.cases)
    return f"\n{text_table(SUMMARY_TITLES, rows)}" if rows else ""


def markdown_page(record: CompiledRecord) -> str:
    """Return the page that `--markdown` writes."""
    rows = summary_rows(record.cases)
    every = [line for case in record.cases for line in lines(case)]
    return "\n\n".join(
        [
            title(record),
            f"# jaxnets bench {record.suite} --compile-for {record.chip['name']}",
            chip_facts(record) + ".",
            facts(record.environment).replace("\n", ", ") + ".",
            LEGEND,
            *([markdown_table(SUMMARY_TITLES, rows)] if rows else []),
            markdown_table(HEADER, every),
            *(
                f"{case.name}, {case.direction}: {who} did not compile: {reason}"
                for case in record.cases
                for who, reason in case.skipped.items()
            ),
            "",
        ]
    )
