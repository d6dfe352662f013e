"""A figure as HTML: title, how to read it, legend, charts and notes."""

import json

from jaxnets.report.charts.explorer import Explorer
from jaxnets.report.charts.figures import Figure, Panel
from jaxnets.report.charts.heat_maps import HeatMap
from jaxnets.report.charts.phase_diagram import PhaseDiagram
from jaxnets.report.html.controls import controls_html
from jaxnets.report.html.legends import family_swatches, heat_legend, line_legend
from jaxnets.report.html.markup import Markup, bold_opening, tag
from jaxnets.report.sections.section import AnyFigure


def figure_html(figure: AnyFigure, index: int) -> Markup:
    """Return `figure` as HTML; beside each chart is its specification as JSON.

    Args:
        figure: The figure.
        index: Its number on the page, which makes the `id` attributes unique.
    """
    panels = [
        _panel(figure, panel, f"figure-{index}-{number}")
        for number, panel in enumerate(figure.panels, 1)
    ]
    # Three panels in a row, but four panels two by two.
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
    """Return the finding of a figure, with its verdict in bold."""
    if not isinstance(figure, Figure) or not figure.finding:
        return []
    return [tag("p", bold_opening(figure.finding))]


def _legend(figure: AnyFigure) -> list[Markup]:
    """Return the legend and the controls of a figure."""
    if isinstance(figure, HeatMap):
        return [controls_html(figure.controls, {}), heat_legend(figure)]
    if isinstance(figure, Explorer):
        # The checkboxes are the legend of the families.
        boxes = controls_html(figure.controls, family_swatches(figure.drawn()))
        return [boxes, line_legend([], figure.roles())]
    if isinstance(figure, PhaseDiagram):
        # The text of the figure explains the shapes.
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
    """Return `value` as JSON that cannot end the script element around it."""
    written = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Markup(written.replace("<", "\\u003c"))
