"""The legend of a figure, one for all of its panels."""

from jaxnets.report.charts.heat_maps import HeatMap
from jaxnets.report.charts.style import DASHES, HEAT, MARKERS
from jaxnets.report.html.markup import Markup, join, tag
from jaxnets.report.intervals import numbers


# SVG paths of the markers, with the shape and the size that Vega draws.
_OUTLINES = {
    "circle": "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
    "square": "M-3.4,-3.4h6.8v6.8h-6.8Z",
    "triangle-up": "M0,-4L4.2,3.4H-4.2Z",
    "diamond": "M0,-5L3.8,0L0,5L-3.8,0Z",
    "cross": "M-1.5,-4h3v2.5h2.5v3h-2.5v2.5h-3v-2.5h-2.5v-3h2.5Z",
    "triangle-down": "M0,4L4.2,-3.4H-4.2Z",
}


def line_legend(families: list[tuple[int, str]], roles: list[str]) -> Markup:
    """Return the swatches of families and, if there are several, of roles."""
    shown = [*family_swatches(families).items(), *_role_swatches(roles).items()]
    if not shown:
        return Markup("")
    items = (tag("li", swatch, name) for name, swatch in shown)
    return tag("ul", *items, class_="legend", aria_label="Legend")


def family_swatches(families: list[tuple[int, str]]) -> dict[str, Markup]:
    """Return the swatch of each family, given as `(index of its colour, name)`."""
    kinds = len(MARKERS)
    return {
        name: _swatch(f"var(--family-{index % kinds})", marker=MARKERS[index % kinds])
        for index, name in families
    }


def _role_swatches(roles: list[str]) -> dict[str, Markup]:
    if len(roles) < 2:
        return {}
    dashes = zip(roles, DASHES, strict=False)
    return {role: _swatch("var(--text)", dash=dash) for role, dash in dashes}


def heat_legend(figure: HeatMap) -> Markup:
    """Return the colour scale of a heat map, from its smallest to its largest value."""
    low, high = numbers(figure.extent)
    bar = tag(
        "span",
        class_="heat",
        aria_hidden="true",
        style=f"background:linear-gradient(to right,{','.join(HEAT)})",
    )
    shown = [tag("li", f"{figure.plot.axes.y}:"), tag("li", low, bar, high)]
    if figure.has_empty():
        shown.append(tag("li", tag("span", class_="empty"), "no finite value"))
    return tag("ul", *shown, class_="legend", aria_label="Legend")


def _swatch(
    colour: str, marker: str | None = None, dash: tuple[int, ...] = (1, 0)
) -> Markup:
    """Return a piece of a line with its marker."""
    line = tag(
        "path",
        d="M-11,0H11",
        stroke="currentColor",
        stroke_width=2,
        stroke_dasharray=" ".join(map(str, dash)),
    )
    point = tag("path", d=_OUTLINES[marker], fill="currentColor") if marker else ""
    return tag(
        "svg",
        join([line, point]),
        width=22,
        height=12,
        viewBox="-11 -6 22 12",
        aria_hidden="true",
        style=f"color:{colour}",
    )
