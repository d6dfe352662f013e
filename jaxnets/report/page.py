"""The report: one HTML file that contains everything it needs."""

import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template

import vl_convert

from jaxnets.report.charts.style import DARK, LIGHT, css_variables, vega_config
from jaxnets.report.html.figure import figure_html, json_in_html
from jaxnets.report.html.glossary import glossary_html
from jaxnets.report.html.markup import Markup, join, paragraphs, tag
from jaxnets.report.html.provenance import provenance_html, table_html, unfinished
from jaxnets.report.html.verdicts import verdicts_html
from jaxnets.report.intervals import number
from jaxnets.report.sections.section import Section
from jaxnets.report.studies import study_sections
from jaxnets.runs.catalogue import STUDIES
from jaxnets.runs.files import as_path, write_text
from jaxnets.runs.folder import Run, RunFolder, items


def write_report(run: str | os.PathLike[str]) -> Path:
    """Draw the run in the folder `run` as the page `run/report.html`.

    The page is one file, with its text, its charts and the JavaScript that draws them.
    It can be opened from disk and makes no network requests. If the run is incomplete,
    the page says what is missing.

    Args:
        run: The folder that `jaxnets contrast` wrote. Of its files `records.csv`,
            `summary.json` and `config.json` some may be missing, but not all.

    Returns:
        The path of the page.

    Raises:
        OSError: If the page cannot be written.
        TypeError: If `run` is not a path.
        ValueError: If `run` is not the folder of a run, or a file in it cannot be
            parsed.

    Example:
        >>> import tempfile
        >>> from jaxnets.runs.records import write_records
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_records(Path(folder, "records.csv"), [])
        ...     write_report(folder).name
        'report.html'
    """
    folder = as_path(run, "run")
    found = RunFolder(folder).read()
    page = Template(_resource("page.html")).substitute(
        title="How gradients flowed",
        light=css_variables(LIGHT),
        dark=css_variables(DARK),
        css=_resource("page.css"),
        body=_body(found),
        themes=json_in_html({"light": vega_config(LIGHT), "dark": vega_config(DARK)}),
        bundle=_bundle(),
        script=_resource("page.js"),
    )
    path = folder / "report.html"
    write_text(path, page)
    return path


def _resource(name: str) -> str:
    return files("jaxnets.report.html").joinpath(name).read_text(encoding="utf-8")


@cache
def _bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as text for a script element."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script")


def _body(run: Run) -> Markup:
    sections = study_sections(run)
    links = [
        ("verdicts", "Verdicts"),
        ("words", "Glossary"),
        *((section.study, STUDIES[section.study].title) for section in sections),
        ("provenance", "What ran where"),
    ]
    return join(
        [
            tag(
                "header",
                tag("h1", "How gradients flowed"),
                tag("p", _summary_line(run), class_="lead"),
                *(tag("p", remark, class_="remark") for remark in run.remarks),
                tag(
                    "nav",
                    tag("ul", *(tag("li", _link(*link)) for link in links)),
                    aria_label="Contents",
                ),
            ),
            tag(
                "main",
                _part("verdicts", "Verdicts", verdicts_html(run), "summary"),
                _part("words", "Glossary", glossary_html()),
                *_studies(run, sections),
                _part("provenance", "What ran where", provenance_html(run)),
            ),
            tag("footer", tag("p", _signature(run))),
        ]
    )


def _link(name: str, title: str) -> Markup:
    return tag("a", title, href=f"#{name}")


def _part(name: str, title: str, content: Markup, class_: str | None = None) -> Markup:
    return tag(
        "section",
        tag("h2", title),
        tag("div", content, class_=class_) if class_ else content,
        id=name,
    )


def _summary_line(run: Run) -> str:
    """Return what was run in one line, as far as it is known."""
    seconds = run.summary.get("seconds")
    parts = [
        ", ".join(STUDIES[name].title for name in run.studies()),
        f"{run.config['scale']} scale" if "scale" in run.config else "",
        f"data set {run.config['dataset']}" if _reads_images(run) else "",
        _seeds(run.config.get("seeds")),
        f"{number(seconds)} seconds" if seconds is not None else "",
    ]
    return " · ".join(part for part in parts if part)


def _reads_images(run: Run) -> bool:
    needed = any(STUDIES[name].images for name in run.studies())
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


def _studies(run: Run, sections: list[Section]) -> list[Markup]:
    index, parts = 1, []
    for section in sections:
        parts.append(_study(run, section, index))
        index += len(section.figures)
    return parts


def _study(run: Run, section: Section, index: int) -> Markup:
    arms = [arm for arm in run.entries("arms") if arm.get("study") == section.study]
    notes = items(run.mapping("notes").get(section.study))
    initialiser = run.mapping("initialisers").get(section.study)
    asides = [*unfinished(arms), *_absent(section)]
    return tag(
        "section",
        tag("h2", section.title),
        tag("p", section.question, class_="lead"),
        paragraphs([initialiser] if initialiser else []),
        paragraphs(notes),
        paragraphs(asides, class_="remark"),
        tag(
            "div",
            *(figure_html(f, index + n) for n, f in enumerate(section.figures)),
            class_="figures",
        ),
        table_html(section.table) if section.table else "",
        id=section.study,
    )


def _absent(section: Section) -> list[str]:
    if not section.figures:
        return ["This run has no records of this study, so nothing is drawn here."]
    if not section.absent:
        return []
    titles = ", ".join(f"“{title}”" for title in section.absent)
    return [f"Not drawn, because this run has no records for it: {titles}."]
