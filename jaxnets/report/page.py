"""The report: one HTML file that contains everything it needs."""

import base64
import gzip
import json
import os
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import vl_convert

from jaxnets.report.charts.style import DARK, LIGHT, css_variables, vega_config
from jaxnets.report.exhibits.results import results_html
from jaxnets.report.html.figure import Charts
from jaxnets.report.html.glossary import glossary_html
from jaxnets.report.html.markup import Markup, join, paragraphs, tag
from jaxnets.report.html.overview import card_html
from jaxnets.report.html.provenance import provenance_html
from jaxnets.report.html.study import folded, study_html
from jaxnets.report.html.verdicts import verdicts_html
from jaxnets.report.intervals import number
from jaxnets.report.sections.section import Section
from jaxnets.report.studies import study_sections
from jaxnets.runs.catalogue import SECTIONS
from jaxnets.runs.files import as_path, write_text
from jaxnets.runs.folder import Run, RunFolder
from jaxnets.runs.records import Record


def write_report(
    run: str | os.PathLike[str] | Iterable[Record],
    folder: str | os.PathLike[str] | None = None,
) -> Path:
    """Draw a run, or records of your own, as the page `report.html` in its folder.

    The page is one file, with its text, its charts and the JavaScript that draws them.
    It can be opened from disk and makes no network requests. If the run is incomplete,
    the page says what is missing.

    Args:
        run: The folder that `jaxnets contrast` or `jaxnets check` wrote. Of its files
            `records.csv`, `summary.json` and `config.json` some may be missing, but not
            all. Or records, which are then judged, such as those of `flow_records`, a
            `Monitor` or a `Diagnosis`. Records of two models are drawn in the same
            charts if their names differ.
        folder: Where to write records and page: a new folder, or an empty one. Only for
            records.

    Returns:
        The path of the page.

    Raises:
        OSError: If the page cannot be written, or `folder` holds something.
        TypeError: If `run` is neither a path nor records with a `folder`.
        ValueError: If `run` is not the folder of a run, or a file in it cannot be
            parsed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from jaxnets.report import write_report
        >>> from jaxnets.runs.records import write_records
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_records(Path(folder, "records.csv"), [])
        ...     write_report(folder).name
        'report.html'
    """
    if folder is not None:
        run = _run_of_records(run, as_path(folder, "folder"))
    elif not isinstance(run, str | os.PathLike) and isinstance(run, Iterable):
        raise TypeError(
            "`run` is a series and `folder` is None; wanted the folder to write "
            "records to, such as `write_report(records, 'runs/mine')`."
        )
    path = as_path(run, "run")  # pyright: ignore[reportArgumentType]
    found = RunFolder(path).read()
    charts: Charts = {}
    themes = {"light": vega_config(LIGHT), "dark": vega_config(DARK)}
    page = Template(_resource("page.html")).substitute(
        title="How gradients flowed",
        light=css_variables(LIGHT),
        dark=css_variables(DARK),
        css=_resource("page.css"),
        body=_body(found, charts),
        charts=_packed(json.dumps({"themes": themes, "charts": charts})),
        bundle=_bundle(),
        script=_resource("page.js"),
    )
    write_text(path / "report.html", page)
    return path / "report.html"


def _run_of_records(records: Any, folder: Path) -> Path:
    """Judge records, and write them into a folder as a run."""
    # Imported here, because drawing needs no JAX, and judging is done beside measuring.
    from jaxnets.gradflow import verdicts

    found = list(records)
    RunFolder(folder).create_with(found, [v._asdict() for v in verdicts(found)])
    return folder


def _resource(name: str) -> str:
    return files("jaxnets.report.html").joinpath(name).read_text(encoding="utf-8")


@cache
def _bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed, packed."""
    return _packed(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _packed(text: str) -> str:
    """Return text compressed to less than half, in characters that HTML can hold."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _body(run: Run, charts: Charts) -> Markup:
    sections = study_sections(run)
    results = results_html(run)
    links = [
        *([("results", "Results")] if results else []),
        *((section.study, SECTIONS[section.study].title) for section in sections),
        ("provenance", "Run"),
        ("words", "Glossary"),
    ]
    return join(
        [
            tag(
                "header",
                tag("h1", "How gradients flowed"),
                tag("p", _summary_line(run), class_="lead"),
                paragraphs(run.remarks, class_="remark"),
            ),
            tag(
                "nav",
                tag("ul", *(tag("li", _link(*link)) for link in links)),
                aria_label="Contents",
            ),
            tag(
                "main",
                _part("results", "Results", results) if results else "",
                _first_look(run, sections, charts),
                *(study_html(run, section, charts) for section in sections),
                _part("provenance", "What ran where", provenance_html(run)),
                _part("words", "Glossary", folded("Words used here", glossary_html())),
            ),
            tag("footer", tag("p", _signature(run))),
        ]
    )


def _link(name: str, title: str) -> Markup:
    return tag("a", title, href=f"#{name}")


def _part(name: str, title: str, content: Markup) -> Markup:
    return tag("section", tag("h2", title), content, id=name)


def _first_look(run: Run, sections: list[Section], charts: Charts) -> Markup:
    """Return a card for each study, and the verdicts that belong to none of them."""
    verdicts = run.entries("verdicts")
    drawn = [section for section in sections if section.figures]
    # The chart of a single study follows anyway.
    shown = charts if len(drawn) > 1 else None
    cards = [
        card_html(s, [v for v in verdicts if v.get("study") == s.study], shown)
        for s in drawn
    ]
    names = {section.study for section in sections}
    others = [v for v in verdicts if v.get("study") not in names]
    content = [tag("div", *cards, class_="cards") if cards else ""]
    if others:
        content.append(tag("div", verdicts_html(others), class_="verdicts"))
    if not verdicts and not run.entries("claims"):
        content.append(
            tag(
                "p",
                "This run has no verdicts: it was stopped before they were written, or "
                "its summary.json is missing. The charts show what was measured.",
                class_="remark",
            )
        )
    return _part("first-look", "At a glance", join(content))


def _summary_line(run: Run) -> str:
    """Return what was run in one line, as far as it is known."""
    seconds = run.summary.get("seconds")
    parts = [
        ", ".join(SECTIONS[name].title for name in run.studies()),
        f"{run.config['scale']} scale" if "scale" in run.config else "",
        f"data set {run.config['dataset']}" if _reads_images(run) else "",
        _seeds(run.config.get("seeds")),
        f"{number(seconds)} seconds" if seconds is not None else "",
    ]
    return " · ".join(part for part in parts if part)


def _reads_images(run: Run) -> bool:
    needed = any(SECTIONS[name].images for name in run.studies())
    return needed and "dataset" in run.config


def _seeds(seeds: object) -> str:
    """Return how many seeds there are, given their number or a list of them."""
    if seeds is None:
        return ""
    count = len(seeds) if isinstance(seeds, list) else seeds
    return f"{count} seed{'' if count == 1 else 's'}"


def _signature(run: Run) -> str:
    version = run.mapping("environment").get("jaxnets")
    return f"Drawn from the records of jaxnets {version or '(version not recorded)'}."
