"""A figure as HTML: heading, how to read it, legend, charts, notes."""

import json

from jaxnets.report.figures import Figure, Panel
from jaxnets.report.markup import Markup, join, tag
from jaxnets.report.style import DASHES, MARKERS


# Markers around the origin, as Vega draws them at the size of the charts.
_OUTLINES = {
    "circle": "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    "square": "M-3.4,-3.4h6.8v6.8h-6.8Z",
    "triangle-up": "M0,-4L4.2,3.4H-4.2Z",
    "diamond": "M0,-5L3.8,0L0,5L-3.8,0Z",
    "cross": "M-1.5,-4h3v2.5h2.5v3h-2.5v2.5h-3v-2.5h-2.5v-3h2.5Z",
    "triangle-down": "M0,4L4.2,-3.4H-4.2Z",
}


def figure_html(figure: Figure, index: int) -> Markup:
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
            _legend(figure),
        ),
        tag("div", *panels, class_=f"panels columns-{columns}"),
        tag("p", " ".join(figure.notes), class_="captions"),
        id=f"{figure.study}-{figure.plot.name}",
        class_="wide" if len(panels) > 1 else None,
    )


def _panel(figure: Figure, panel: Panel, name: str) -> Markup:
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


def _legend(figure: Figure) -> Markup:
    kinds = len(MARKERS)
    families = (
        _key(name, f"var(--family-{index % kinds})", marker=MARKERS[index % kinds])
        for index, name in figure.drawn()
    )
    roles = figure.roles()
    dashes = (
        _key(role, "var(--text)", dash=dash)
        for role, dash in zip(roles, DASHES, strict=False)
    )
    shown = [*families, *(dashes if len(roles) > 1 else ())]
    return tag("ul", *shown, class_="legend", aria_label="Legend")


def _key(
    name: str, colour: str, marker: str | None = None, dash: tuple[int, ...] = (1, 0)
) -> Markup:
    """Return one entry of a legend: a piece of the line, its marker, its name."""
    line = tag(
        "path",
        d="M-15,0H15",
        stroke="currentColor",
        stroke_width=2,
        stroke_dasharray=" ".join(map(str, dash)),
    )
    point = tag("path", d=_OUTLINES[marker], fill="currentColor") if marker else ""
    swatch = tag(
        "svg",
        join([line, point]),
        width=30,
        height=12,
        viewBox="-15 -6 30 12",
        aria_hidden="true",
        style=f"color:{colour}",
    )
    return tag("li", swatch, name)
