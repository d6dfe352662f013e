"""A figure as HTML: title, how to read it, legend, charts and notes."""

from typing import Any

from jaxnets.report.charts.explorer import Explorer
from jaxnets.report.charts.figures import Figure, Panel
from jaxnets.report.charts.heat_maps import HeatMap
from jaxnets.report.charts.phase_diagram import PhaseDiagram
from jaxnets.report.html.controls import controls_html
from jaxnets.report.html.glossary import explained
from jaxnets.report.html.legends import family_swatches, heat_legend, line_legend
from jaxnets.report.html.markup import Markup, bold_opening, tag
from jaxnets.report.sections.section import AnyFigure


# The Vega-Lite specifications of the page's charts, by name.
Charts = dict[str, dict[str, Any]]


def figure_html(figure: AnyFigure, charts: Charts) -> Markup:
    """Return `figure` as HTML.

    Args:
        figure: The figure.
        charts: The specifications of its charts are added here.
    """
    name = f"{figure.study}-{figure.plot.name}"
    panels = [
        panel_html(figure, panel, f"{name}-{number}", charts)
        for number, panel in enumerate(figure.panels, 1)
    ]
    # Three panels in a row, but four panels two by two.
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("h3", figure.plot.title),
            tag("p", explained(figure.plot.reading), class_="reading"),
            *_finding(figure),
            legend_html(figure),
        ),
        tag("div", *panels, class_=f"panels columns-{columns}"),
        tag("p", " ".join(figure.notes), class_="captions"),
        id=name,
        class_="wide" if len(panels) > 1 or isinstance(figure, Explorer) else None,
    )


def _finding(figure: AnyFigure) -> list[Markup]:
    """Return the finding of a figure, with its verdict in bold."""
    if not isinstance(figure, Figure) or not figure.finding:
        return []
    return [tag("p", bold_opening(figure.finding))]


def legend_html(figure: AnyFigure) -> Markup:
    """Return the legend and the controls of a figure."""
    if isinstance(figure, HeatMap):
        return tag("div", controls_html(figure.controls, {}), heat_legend(figure))
    if isinstance(figure, Explorer):
        # The checkboxes are the legend of the families.
        boxes = controls_html(figure.controls, family_swatches(figure.drawn()))
        return tag("div", boxes, line_legend([], figure.roles()))
    if isinstance(figure, PhaseDiagram):
        # The text of the figure explains the shapes.
        return Markup("")
    return line_legend(figure.drawn(), figure.roles())


def panel_html(figure: AnyFigure, panel: Panel, name: str, charts: Charts) -> Markup:
    """Return the place of a chart, which `page.js` draws there, and its title."""
    charts[name] = figure.chart(panel, legend=False)
    return tag(
        "div",
        tag("h4", panel.title) if panel.title else "",
        tag(
            "div",
            class_="chart",
            role="img",
            aria_label=panel.description,
            data_chart=name,
        ),
        class_="panel",
    )
