"""Tables of the runs that `keep.py` kept, for the pages of evidence."""

import json
from collections.abc import Iterable, Sequence
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
    pass_of,
    summary_cells,
)
from jaxnets.report.intervals import interval
from jaxnets.runs.catalogue import SECTIONS
from jaxnets.runs.claims import CLAIMS
from jaxnets.runs.estimates import estimate
from jaxnets.runs.intervals import SHARE


FOLDER = Path(__file__).parent
COMPILERS = ("libtpu", "jax-cuda13-pjrt")


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
    load = f", load {machine['load']:.0f}" if "load" in machine else ""
    return Markdown(
        f"`uv run {run['command']}`, {run['started'][:10]}, {run['seconds']:.0f} s on "
        f"{machine['cpus']} cores of {machine['processor']}{load}; {versions}."
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


def quoted(run: dict[str, Any], study: str, *places: str) -> Markdown:
    """Return what a run said of some networks, as a list.

    Raises:
        KeyError: If it said nothing of one of them.
    """
    said = {(each["study"], each["where"]): each for each in run["verdicts"]}
    lines = []
    for place in places:
        sentence = said[study, place]["sentence"].replace("*", "\\*")
        lines.append(f"- *{place}.* {sentence}")
    return Markdown("\n".join(lines))


def endings(run: dict[str, Any], study: str) -> Markdown:
    """Return the table of how each arm of recurrent networks ended."""
    head = ("arm", "test loss", "solved", "Lyapunov exponent", "memory exponent")
    rows = []
    for arm in run["outcomes"]:
        if arm["study"] != study:
            continue
        mean = lambda metric, arm=arm: (
            interval(estimate(arm[metric])) if metric in arm else "–"
        )
        loss = solved = "–"
        # What was not trained solves nothing.
        if flags := arm.get("solved"):
            loss, solved = mean("test_loss"), f"{sum(flags):.0f} of {len(flags)}"
        exponents = mean("lyapunov_exponent"), mean("memory_exponent")
        rows.append((arm["arm"], loss, solved, *exponents))
    return table(head, rows)


def accuracies(run: dict[str, Any], study: str) -> Markdown:
    """Return the table of the share of right answers of each arm."""

    def mean(values: list[float]) -> str:
        found = estimate(values)
        return interval(found and found.within(SHARE), share=True)

    rows = [
        (arm["arm"], mean(arm["train_accuracy"]), mean(arm["test_accuracy"]))
        for arm in run["outcomes"]
        if arm["study"] == study
    ]
    return table(("arm", "training images", "test images"), rows)


def folded(title: str, text: str) -> str:
    """Return a text that a click unfolds."""
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Markdown:
    """Return a table in Markdown."""
    cell = lambda text: text.replace("|", "\\|").replace("*", "\\*").replace("\n", " ")
    lines = [head, ("---",) * len(head), *(tuple(map(cell, row)) for row in rows)]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def benchmarks(folder: Path = FOLDER / "bench") -> Markdown:
    """Return the tables of the benchmarks that were kept and timed something."""
    return Markdown("\n\n".join(timed(text) for text in records(folder, "seconds")))


def beside(peer: str, folder: Path = FOLDER / "bench") -> Markdown:
    """Return the table of the means of a peer's time over ours."""
    means: dict[tuple[str, str], dict[bool, str]] = {}
    counts: dict[tuple[str, str], str] = {}
    for text in records(folder, "seconds"):
        record = read_record(text)
        for each in summaries(record.measurements, record.settings["peers"]):
            if each.peer == peer and each.group != "all":
                group = (record.suite, each.group)
                counts[group] = str(each.count)
                ratio = f"{each.mean:.2f} ({each.worst_ratio:.2f})"
                means.setdefault(group, {})[each.direction == "gradients"] = ratio
    head = ("suite", "group", "rows", "forward or step", "with gradients")
    rows = [
        (*group, counts[group], *(line.get(back, "–") for back in (False, True)))
        for group, line in means.items()
    ]
    return Markdown(figures(head, rows))


def compiled_for_chips(folder: Path = FOLDER / "bench") -> Markdown:
    """Return the tables of the benchmarks that were compiled for a chip, and kept."""
    return Markdown("\n\n".join(compiled(text) for text in records(folder, "chip")))


def records(folder: Path, kind: str) -> list[str]:
    """Return the records of benchmarks that have a chip, or those that have none."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.json"))]
    return [text for text in texts if ("chip" in json.loads(text)) == (kind == "chip")]


def timed(text: str) -> str:
    """Return what ran when and where, its summary, and a part with every row."""
    record = read_record(text)
    peers, measured = record.settings["peers"], record.measurements
    variants = [v for v in VARIANTS if any(v in m.seconds for m in measured)]
    found = [summary_cells(each) for each in summaries(measured, peers)]
    rows = [cells(each, peers, variants) for each in measured]
    machine = record.environment
    where = (
        f"{machine['cores']} cores of {machine['processor']}, load {machine['load']}"
    )
    said = f"{legend(record.suite)} {record.settings['rounds']} rounds."
    parts = [f"**{record.suite}**", f"{made(machine, where)} {said}"]
    every = figures(header(peers, variants), rows)
    # Without a peer there is no summary.
    summed = [figures(SUMMARY_HEADER, found), folded("Each row", every)]
    return "\n\n".join([*parts, *(summed if found else [every])])


def compiled(text: str) -> str:
    """Return what was compiled when for which chip, its means, and every row.

    The means of a group are the ratios of Flax's figures, of all its rows and dtypes.
    """
    record = read_compiled_record(text)
    # On a GPU all memory is main memory.
    without = "main memory" if record.chip["platform"] == "cuda" else None
    ratios = [r for r in pages.RATIOS if r.partition(",")[0] != without]
    means: dict[tuple[str, str, int], dict[str, str]] = {}
    for each in summaries(record.cases, pages.RATIOS):
        line = means.setdefault((each.group, pass_of(each.direction), each.count), {})
        line[each.peer] = f"{each.mean:.2f} ({each.worst_ratio:.2f})"
    rows = [
        [group, passed, str(count), *(line.get(ratio, "-") for ratio in ratios)]
        for (group, passed, count), line in means.items()
    ]
    head = ["group", "pass", "rows", *ratios]
    every = [line for case in record.cases for line in pages.lines(case)]
    said = f"{pages.title(record)} {made(record.environment, 'compiled only')}"
    return "\n\n".join(
        [
            f"**{record.suite}, {record.chip['title']}**",
            f"{said} Geometric means, and in brackets the lowest row.",
            figures(head, rows),
            folded("Each row", figures(pages.HEADER, every)),
        ]
    )


def figures(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose cells do not wrap."""
    return f'<div class="figures">\n\n{markdown_table(head, rows)}\n\n</div>'


def made(machine: dict[str, Any], where: str) -> str:
    """Return the command, the date, where it ran and the versions."""
    versions = ", ".join(
        f"{name} {machine[name]}"
        for name in ("jaxnets", "jax", "flax", *COMPILERS, "torch", "python")
        if name in machine
    )
    return (
        f"`uv run {machine['command']}`, {machine['date'][:10]}, {where}; {versions}."
    )
