"""A figure as HTML: heading, how to read it, legend, charts, notes."""

import json

from jaxnets.report.charts.explorer import Explorer
from jaxnets.report.charts.figures import Figure, Panel
from jaxnets.report.charts.heat_maps import HeatMap
from jaxnets.report.charts.phase_diagram import PhaseDiagram
from jaxnets.report.html.controls import controls_html
from jaxnets.report.html.legends import family_swatches, heat_legend, line_legend
from jaxnets.report.html.markup import Markup, tag, typeset
from jaxnets.report.sections.section import AnyFigure


def figure_html(figure: AnyFigure, index: int) -> Markup:
    """Return `figure` as HTML, with its charts' descriptions as JSON beside them.

    Args:
        figure: What to show.
        index: Its number on the page, which makes the identifiers unique.
    """
    panels = [
        _panel(figure, panel, f"figure-{index}-{number}")
        for number, panel in enumerate(figure.panels, 1)
    ]
    # Four stand better two by two; of more than two, three fill a row.
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("h3", figure.plot.title),
            tag("p", figure.plot.reading),
            *_finding(figure),
            *_legend(figure),
        ),
        tag("div", *panels, class_=f"panels columns-{columns}"),
        tag("p", " ".join(figure.notes), class_="captions"),
        id=f"{figure.study}-{figure.plot.name}",
        class_="wide" if len(panels) > 1 or isinstance(figure, Explorer) else None,
    )


def _finding(figure: AnyFigure) -> list[Markup]:
    """Return what a claim's figure shows, its first words set off."""
    if not isinstance(figure, Figure) or not figure.finding:
        return []
    opening, colon, rest = typeset(figure.finding).partition(": ")
    return [tag("p", tag("strong", opening + colon.strip()), " ", rest)]


def _legend(figure: AnyFigure) -> list[Markup]:
    """Return what stands between the text of a figure and its charts."""
    if isinstance(figure, HeatMap):
        return [controls_html(figure.controls, {}), heat_legend(figure)]
    if isinstance(figure, Explorer):
        # The boxes are the legend of the families.
        boxes = controls_html(figure.controls, family_swatches(figure.drawn()))
        return [boxes, line_legend([], figure.roles())]
    if isinstance(figure, PhaseDiagram):
        # Its shapes are told apart by the text above it.
        return []
    return [line_legend(figure.drawn(), figure.roles())]


def _panel(figure: AnyFigure, panel: Panel, name: str) -> Markup:
    specification = figure.chart(panel, legend=False)
    return tag(
        "div",
        tag("h4", panel.title) if panel.title else "",
        tag(
            "div",
            class_="chart",
            role="img",
            aria_label=panel.description,
            data_source=name,
        ),
        tag("script", json_in_html(specification), type="application/json", id=name),
        class_="panel",
    )


def json_in_html(value: object) -> Markup:
    """Return `value` as JSON that cannot end the script element that it stands in."""
    written = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Markup(written.replace("<", "\\u003c"))
