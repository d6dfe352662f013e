"""The results as text: tables for the terminal and the same in Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

from jaxnets.bench.measurement import LEVEL, Measurement, Ratio, Summary, summaries
from jaxnets.bench.record import BenchmarkRecord
from jaxnets.runs.files import printable


LEGENDS = {
    "gradflow": "A ratio is the time of training steps that measure over that of the "
    "same steps that do not, in the same round: median (range).",
    "stack": "A ratio is our time over that of the same network without a loop, or "
    "without `checkpoint`, in the same round: median (range).",
}
LEGEND = (
    "A ratio is a peer's time over ours in the same round: median (range). Above 1 we "
    "are faster."
)
# For each further program of ours, the title of the column with our time over its.
VARIANTS = {
    "outside": "in scan / outside",
    "stored": "checkpoint / stored",
    "plain": "measured / plain",
    "split": "ours / split",
    "scan": "ours / scan",
    "associative": "ours / associative",
    "associative_log": "ours / associative_log",
}
# The programs whose memory is compared with ours, and how a table says that.
MEMORY = {"stored": "of stored", "plain": "of plain"}
# The time of a step with tracking over that of a step without, for CIFAR-10 3c3d on a
# CPU, as the mean over ten seeds. Computed from the files published with Schneider et
# al. 2021, "Cockpit: A Practical Debugging Tool for the Training of Deep Neural
# Networks".
COCKPIT = {
    "norms": "1.02 GradNorm",
    "everything": "5.66 economy, 90.5 full",
    "scheduled": "1.08 economy, 2.52 full",
}


def legend(suite: str) -> str:
    """Return the sentence that says what the ratios of a suite mean."""
    return LEGENDS.get(suite, LEGEND)


def pass_of(direction: str) -> str:
    """Return what a direction is called in a table.

    Example:
        >>> pass_of("forward"), pass_of("gradients")
        ('forward', '+ gradients')
    """
    return "+ gradients" if direction == "gradients" else direction


def header(peers: Sequence[str], variants: Sequence[str]) -> list[str]:
    """Return the titles of the columns."""
    titles = ["row", "pass", "plan", "compile", "ours"]
    titles += [f"{peer} / ours" for peer in peers]
    titles += [VARIANTS[variant] for variant in variants]
    titles += ["temp"] if MEMORY.keys() & set(variants) else []
    return [*titles, "Cockpit, published"] if "plain" in variants else titles


def cells(
    measurement: Measurement, peers: Sequence[str], variants: Sequence[str]
) -> list[str]:
    """Return the cells of a measurement, one for each title of `header`."""
    ratios = [measurement.ratio(peer) for peer in peers]
    return [
        measurement.name,
        pass_of(measurement.direction),
        measurement.plan or "-",
        f"{measurement.compile_seconds['ours']:.2f} s",
        _time(measurement),
        *map(ratio_text, ratios),
        *(ratio_text(measurement.over(variant)) for variant in variants),
        *([memory_text(measurement)] if MEMORY.keys() & set(variants) else []),
        *([COCKPIT.get(measurement.direction, "-")] if "plain" in variants else []),
    ]


def _time(measurement: Measurement) -> str:
    """Return our time, for training with the examples a second."""
    text = f"{1e3 * measurement.ours:.3g} ms"
    if measurement.direction not in ("step", "epoch"):
        return text
    examples = measurement.spec["batch"] * measurement.spec.get("updates", 1)
    return f"{text}, {examples / measurement.ours:.3g}/s"


def memory_text(measurement: Measurement) -> str:
    """Return our temporary memory, such as "19.2 MB (0.030 of stored)"."""
    bytes_of = measurement.temp_bytes
    if "ours" not in bytes_of:
        return "-"
    text = f"{bytes_of['ours'] / 1e6:.1f} MB"
    for other, words in MEMORY.items():
        if other in bytes_of:
            return f"{text} ({bytes_of['ours'] / bytes_of[other]:.3f} {words})"
    return text


def ratio_text(ratio: Ratio | None) -> str:
    """Return the median and the range, such as "1.21 (1.15-1.30)"."""
    if ratio is None:
        return "-"
    return f"{ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"


SUMMARY_HEADER = ["group", "pass", "peer", "mean", "rows", f"< {LEVEL}", "worst row"]


def summary_cells(summary: Summary) -> list[str]:
    """Return the cells of a summary, one for each title of `SUMMARY_HEADER`."""
    return [
        summary.group,
        pass_of(summary.direction),
        summary.peer,
        f"{summary.mean:.2f}",
        str(summary.count),
        str(summary.slower),
        f"{summary.worst_ratio:.2f} {summary.worst}",
    ]


def aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return a line of columns. A cell that is too wide moves the rest to the right."""
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
    """Return the environment, one fact a line."""
    return "\n".join(
        f"{name}: {printable(str(value))}"
        for name, value in environment.items()
        if value is not None
    )


def summary_table(found: Sequence[Summary]) -> str:
    """Return the table of all summaries for the terminal."""
    return text_table(SUMMARY_HEADER, [summary_cells(summary) for summary in found])


def markdown_page(record: BenchmarkRecord) -> str:
    """Return the page that `--markdown` writes: facts, summaries and every case."""
    peers, measurements = record.settings["peers"], record.measurements
    variants = [v for v in VARIANTS if any(v in m.seconds for m in measurements)]
    found = summaries(measurements, peers)
    return "\n\n".join(
        [
            f"# jaxnets bench {record.suite}",
            facts(record.environment).replace("\n", ", ") + ".",
            legend(record.suite),
            *(
                [markdown_table(SUMMARY_HEADER, map(summary_cells, found))]
                * bool(found)
            ),
            markdown_table(
                header(peers, variants),
                [cells(m, peers, variants) for m in measurements],
            ),
            "",
        ]
    )
