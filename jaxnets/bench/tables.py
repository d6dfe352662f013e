"""Figures as lines of text: a table in the terminal, the same in Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

from jaxnets.bench.measurement import LEVEL, Measurement, Ratio, Summary, summaries
from jaxnets.bench.record import Record


LEGEND = (
    "A ratio is a peer's time over ours in the same round, median (range): above 1 we "
    "are faster."
)
# Further programs of ours, and what our time over theirs is called.
VARIANTS = {"outside": "in scan / outside", "stored": "checkpoint / stored"}
PASSES = {"forward": "forward", "gradients": "+ gradients", "step": "step"}


def header(peers: Sequence[str], variants: Sequence[str]) -> list[str]:
    """Return the titles of the columns."""
    titles = ["row", "pass", "plan", "compile", "ours"]
    titles += [f"{peer} / ours" for peer in peers]
    titles += [VARIANTS[variant] for variant in variants]
    return [*titles, "temp"] if "stored" in variants else titles


def cells(
    measurement: Measurement, peers: Sequence[str], variants: Sequence[str]
) -> list[str]:
    """Return a measurement's cells, one for each title."""
    ratios = [measurement.ratio(peer) for peer in peers]
    return [
        measurement.name,
        PASSES[measurement.direction],
        measurement.plan or "-",
        f"{measurement.compile_seconds['ours']:.2f} s",
        f"{1e3 * measurement.ours:.3g} ms",
        *map(ratio_text, ratios),
        *(ratio_text(measurement.over(variant)) for variant in variants),
        *([memory_text(measurement)] if "stored" in variants else []),
    ]


def memory_text(measurement: Measurement) -> str:
    """Return the temporary memory of ours, such as "19.2 MB (0.03 of stored)"."""
    bytes_of = measurement.temp_bytes
    if "ours" not in bytes_of:
        return "-"
    text = f"{bytes_of['ours'] / 1e6:.1f} MB"
    if "stored" not in bytes_of:
        return text
    return f"{text} ({bytes_of['ours'] / bytes_of['stored']:.3f} of stored)"


def ratio_text(ratio: Ratio | None) -> str:
    """Return the median and the range, such as "1.21 (1.15-1.30)"."""
    if ratio is None:
        return "-"
    return f"{ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"


SUMMARY_HEADER = ["group", "pass", "peer", "mean", "rows", f"< {LEVEL}", "worst row"]


def summary_cells(summary: Summary) -> list[str]:
    """Return a summary's cells, one for each title of `SUMMARY_HEADER`."""
    return [
        summary.group,
        PASSES[summary.direction],
        summary.peer,
        f"{summary.mean:.2f}",
        str(summary.count),
        str(summary.slower),
        f"{summary.worst_ratio:.2f} {summary.worst}",
    ]


def aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return a line of columns; a cell that is too wide shifts the rest."""
    padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join(padded).rstrip()


def text_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of aligned columns."""
    lines = [titles, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(aligned(line, widths) for line in lines)


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return the table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def facts(environment: dict[str, Any]) -> str:
    """Return the environment in a few words a line."""
    return "\n".join(f"{k}: {v}" for k, v in environment.items() if v is not None)


def summary_table(found: Sequence[Summary]) -> str:
    """Return the table of all summaries, for the terminal."""
    return text_table(SUMMARY_HEADER, [summary_cells(summary) for summary in found])


def markdown_page(record: Record) -> str:
    """Return the page that `--markdown` writes: facts, summary, every row."""
    peers, measurements = record.settings["peers"], record.measurements
    variants = [v for v in VARIANTS if any(v in m.seconds for m in measurements)]
    found = summaries(measurements, peers)
    return "\n\n".join(
        [
            f"# jaxnets bench {record.suite}",
            facts(record.environment).replace("\n", ", ") + ".",
            LEGEND,
            markdown_table(SUMMARY_HEADER, [summary_cells(each) for each in found]),
            markdown_table(
                header(peers, variants),
                [cells(m, peers, variants) for m in measurements],
            ),
            "",
        ]
    )
