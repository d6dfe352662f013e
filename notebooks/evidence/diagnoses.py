"""Tables of what was said of the networks in `benchmarks/faults`."""

import json
from pathlib import Path
from typing import Any

from IPython.display import Markdown
from kept import folded, table

from jaxnets.bench.tables import markdown_table


FOLDER = Path(__file__).parent / "diagnosis"


def read(name: str) -> dict[str, Any]:
    """Return the record that `--json` wrote."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def diagnosed() -> Markdown:
    """Return what jaxnets said of each network, and how much of it is right."""
    run = read("faults")
    machine, networks = run["environment"], run["networks"]

    def count(is_fault: bool) -> str:
        right = [each["right"] for each in networks if bool(each["kinds"]) == is_fault]
        return f"**{sum(right)}** of {len(right)}"

    where = f"{machine['cores']} cores of {machine['processor']}"
    versions = f"jax {machine['jax']}, flax {machine['flax']}"
    said = (
        f"{count(True)} faults were named with kind, place and remedy, and "
        f"{count(False)} healthy networks had no verdict `fault` "
        f"(`uv run {run['command']}`, {run['date']}, {where}; {versions})."
    )
    rows = [
        (
            each["name"],
            " or ".join(each["kinds"]) or "healthy",
            "yes" if each["right"] else "no",
            each["said"] or "–",
        )
        for each in networks
    ]
    head = ("network", "seeded fault", "right", "faults and warnings")
    every = folded(f"All {len(rows)} networks", str(table(head, rows).data))
    return Markdown(f"{said}\n\n{every}")


def twins() -> Markdown:
    """Return the table of what jaxnets and torchmortem say of the same networks."""
    run = read("torchmortem")
    ours = {each["name"]: each for each in read("faults")["networks"]}
    pairs = [(ours[each["name"]], each) for each in run["networks"]]
    faults = [(own, other) for own, other in pairs if other["is_fault"]]
    healthy = [(own, other) for own, other in pairs if not other["is_fault"]]
    rows = [
        (
            own["name"],
            # Where the twin has no place, ours does not count either.
            _mark(own["right"], own["right"] and own["has_place"], other),
            _mark(other["found"], other["place"], other),
        )
        for own, other in faults
    ]
    total = (
        f"**faults found, of {len(faults)}**",
        f"**{sum(own['right'] for own, _ in faults)}**",
        f"**{sum(other['found'] for _, other in faults)}**",
    )
    alarms = [
        (
            f"healthy networks with {title}, of {len(healthy)}",
            str(sum(any(word in own["said"] for word in words) for own, _ in healthy)),
            str(sum(bool(levels & {*other["severities"]}) for _, other in healthy)),
        )
        for title, words, levels in (
            ("a fault, or a CRITICAL finding", ["fault "], {"CRITICAL"}),
            ("a warning or worse", ["fault ", "warning "], {"CRITICAL", "WARNING"}),
        )
    ]
    head = ("network", "jaxnets", "torchmortem")
    versions = ", ".join(f"{name} {v}" for name, v in run["environment"].items())
    text = markdown_table(head, [*rows, total, *alarms])
    made = f"`{run['command']}`, {versions}, {run['date']}."
    return Markdown(f"{text}\n\n{made}")


def _mark(is_found: bool, is_placed: bool, twin: dict[str, Any]) -> str:
    if is_placed and twin["has_place"]:
        return "place"
    return "found" if is_found else "missed"
