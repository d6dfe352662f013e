"""Tables of the runs that `keep.py` kept, for the pages of evidence."""

import json
from pathlib import Path
from typing import Any

from IPython.display import Markdown

from jaxnets.bench.compiled import pages
from jaxnets.bench.compiled.figures import read_compiled_record
from jaxnets.bench.measurement import summaries
from jaxnets.bench.record import read_record
from jaxnets.bench.tables import (
    SUMMARY_HEADER,
    VARIANTS,
    cells,
    header,
    legend,
    markdown_table,
    summary_cells,
)
from jaxnets.runs.catalogue import SECTIONS
from jaxnets.runs.claims import CLAIMS


FOLDER = Path(__file__).parent
# What the page of benchmarks shows until a run is kept lies between these.
BY_HAND = "<!-- results by hand -->", "<!-- end of results by hand -->"


def read(name: str) -> dict[str, Any]:
    """Return what was kept of a run."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def origin(run: dict[str, Any]) -> Markdown:
    """Say what ran when and where."""
    machine = run["environment"]
    versions = ", ".join(
        f"{name} {machine[name]}"
        for name in ("jaxnets", "jax", "flax", "python")
        if name in machine
    )
    return Markdown(
        f"`uv run {run['command']}`, {run['started'][:10]}, {run['seconds']:.0f} s on "
        f"{machine['cpus']} cores of {machine['processor']}; {versions}."
    )


def claims(run: dict[str, Any]) -> Markdown:
    """Return the table of the claims of theory."""
    rows = [
        (
            f"{CLAIMS[claim['claim']].name} ({CLAIMS[claim['claim']].source})",
            claim["statement"],
            claim["sentence"],
        )
        for claim in run["claims"]
    ]
    return table(("claim", "in words", "measured"), rows)


def verdicts(run: dict[str, Any]) -> Markdown:
    """Return the table of the verdicts of the contrasts, which a click unfolds."""
    rows = [
        (
            SECTIONS[verdict["study"]].title,
            verdict["where"],
            f"{verdict['kind']} ({verdict['severity']})",
            verdict["sentence"],
        )
        for verdict in run["verdicts"]
    ]
    found = table(("contrast", "network", "verdict", "in words"), rows).data
    return Markdown(folded(f"All {len(rows)} verdicts", str(found)))


def folded(title: str, text: str) -> str:
    """Return a text that a click unfolds."""
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Markdown:
    """Return a table in Markdown."""
    cell = lambda text: text.replace("|", "\\|").replace("*", "\\*").replace("\n", " ")
    lines = [head, ("---",) * len(head), *(tuple(map(cell, row)) for row in rows)]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def benchmarks(folder: Path = FOLDER / "bench") -> Markdown:
    """Return the tables of all benchmarks that were kept.

    Where none was, they are the tables of `benchmarks/README.md` that were written by
    hand.
    """
    runs = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.json"))]
    if not runs:
        guide = FOLDER.parents[1] / "benchmarks" / "README.md"
        text = guide.read_text(encoding="utf-8").partition(BY_HAND[0])[2]
        return Markdown(text.partition(BY_HAND[1])[0])
    return Markdown("\n\n".join(map(benchmark, runs)))


def benchmark(text: str) -> str:
    """Return what ran when and where, its summary, and a part with every row."""
    if "chip" in json.loads(text):
        record = read_compiled_record(text)
        titles, found = pages.SUMMARY_TITLES, pages.summary_rows(record.cases)
        head = pages.HEADER
        rows = [line for case in record.cases for line in pages.lines(case)]
        said = f"{pages.title(record)} {pages.LEGEND}"
    else:
        record = read_record(text)
        peers, measured = record.settings["peers"], record.measurements
        variants = [v for v in VARIANTS if any(v in m.seconds for m in measured)]
        titles = SUMMARY_HEADER
        found = [summary_cells(each) for each in summaries(measured, peers)]
        head = header(peers, variants)
        rows = [cells(each, peers, variants) for each in measured]
        said = f"{legend(record.suite)} {record.settings['rounds']} rounds."
    machine = record.environment
    versions = ", ".join(
        f"{name} {machine[name]}"
        for name in ("jaxnets", "jax", "flax", "torch", "python")
        if name in machine
    )
    where = f"{machine['cores']} cores of {machine['processor']}"
    origin = (
        f"**{record.suite}**: `uv run {machine['command']}`, "
        f"{machine['date'][:10]}, {where}, load "
        f"{machine['load']}; {versions}. {said}"
    )
    parts = [origin, *([markdown_table(titles, found)] if found else [])]
    parts.append(folded("Each row", markdown_table(head, rows)))
    return "\n\n".join(parts)
