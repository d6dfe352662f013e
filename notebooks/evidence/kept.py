"""Tables of the runs that `keep.py` kept, for the pages of evidence."""

import json
from pathlib import Path
from typing import Any

from IPython.display import Markdown

from jaxnets.runs.catalogue import SECTIONS
from jaxnets.runs.claims import CLAIMS


FOLDER = Path(__file__).parent


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
    """Return the table of the verdicts of the contrasts."""
    rows = [
        (
            SECTIONS[verdict["study"]].title,
            verdict["where"],
            f"{verdict['kind']} ({verdict['severity']})",
            verdict["sentence"],
        )
        for verdict in run["verdicts"]
    ]
    return table(("contrast", "network", "verdict", "in words"), rows)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Markdown:
    """Return a table in Markdown."""
    cell = lambda text: text.replace("|", "\\|").replace("*", "\\*").replace("\n", " ")
    lines = [head, ("---",) * len(head), *(tuple(map(cell, row)) for row in rows)]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))
