"""What ran where: the command, the machine, the arms and the configuration."""

import json
import re
from collections.abc import Iterable
from typing import Any

from jaxnets.report.html.markup import Markup, join, tag
from jaxnets.report.intervals import number
from jaxnets.report.sections.section import Table
from jaxnets.runs.folder import Run


def provenance_html(run: Run) -> Markup:
    """Return what ran where, as far as the run folder says."""
    tables = (_environment(run), _arms(run), _config(run))
    shown = [
        tag("details", tag("summary", table.title), table_html(table), class_="fold")
        for table in tables
        if table is not None
    ]
    return join([_unfinished(run), *shown])


def table_html(table: Table) -> Markup:
    """Return `table` as HTML; a table wider than the page scrolls sideways."""
    head = tag("tr", *(tag("th", title, scope="col") for title in table.head))
    body = (
        tag("tr", tag("th", row[0], scope="row"), *(map(_cell, row[1:])))
        for row in table.rows
    )
    return tag(
        "div",
        tag(
            "table",
            tag("caption", tag("strong", table.title), " ", tag("span", table.caption)),
            tag("thead", head),
            tag("tbody", *body),
        ),
        class_="table",
        role="region",
        aria_label=table.title,
        tabindex="0",
    )


def _cell(text: str) -> Markup:
    """Return a cell; the interval of an estimate gets a line of its own."""
    mean, bracket, ends = text.partition(" (")
    if not re.fullmatch(r"[^()]+ to [^()]+\)|no spread\)", ends):
        return tag("td", text)
    return tag("td", mean, " ", tag("small", bracket.strip() + ends))


def _environment(run: Run) -> Table | None:
    seconds = run.summary.get("seconds")
    facts = {
        "command": run.summary.get("command"),
        "started": run.summary.get("started"),
        "time": None if seconds is None else f"{number(seconds)} s",
        "seeds": run.config.get("seeds"),
        **run.mapping("environment"),
    }
    rows = [[name, number(fact)] for name, fact in facts.items() if fact is not None]
    if not rows:
        return None
    return Table("Command, versions and machine", "", ["What", "Value"], rows)


def _arms(run: Run) -> Table | None:
    rows = [
        [
            str(arm.get("arm", "–")),
            str(arm.get("study", "–")),
            str(arm.get("status", "–")),
            number(arm.get("parameters")),
            number(arm.get("seconds")),
            number(arm.get("compile_seconds")),
        ]
        for arm in run.entries("arms")
    ]
    if not rows:
        return None
    return Table(
        "The arms",
        "An arm is one trained configuration with all its seeds. Its time includes "
        "compiling.",
        ["Arm", "Study", "Status", "Parameters", "Time (s)", "Compiling (s)"],
        rows,
    )


def _unfinished(run: Run) -> Markup:
    """Return the list of arms that did not finish, each with the reason."""
    sentences = unfinished(run.entries("arms"))
    if not sentences:
        return Markup("")
    return join(
        [
            tag("h3", "Arms that did not finish"),
            tag("ul", *(tag("li", sentence) for sentence in sentences), class_="plain"),
        ]
    )


def unfinished(arms: Iterable[dict[str, Any]]) -> list[str]:
    """Return a sentence on each arm that was stopped or not started.

    Example:
        >>> unfinished([{"arm": "plain-56", "status": "stopped", "message": "time"}])
        ['plain-56 was stopped: time']
    """
    verbs = {"stopped": "was stopped", "pending": "was not started"}
    sentences = []
    for arm in arms:
        status = arm.get("status")
        if status == "finished":
            continue
        verb = verbs.get(str(status), f"has the status {status or 'unknown'}")
        message = arm.get("message")
        end = f": {message}" if message else "."
        sentences.append(f"{arm.get('arm', 'An arm')} {verb}{end}")
    return sentences


def _config(run: Run) -> Table | None:
    rows = [[name, _setting(value)] for name, value in run.config.items()]
    if not rows:
        return None
    return Table("The whole configuration", "", ["Setting", "Value"], rows)


def _setting(value: object) -> str:
    """Write a setting as in config.json, but strings without quotes."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
