"""Colours, markers and fonts of the page and its charts, light and dark."""

from typing import Any, NamedTuple

from jaxnets.runs.catalogue import STUDIES


MARKERS = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
# The first role of a chart is drawn solid, the second dashed, the third dotted.
DASHES = ((1, 0), (6, 4), (2, 3))
# The colours of heat maps, from small to large values: viridis. Its lightness increases
# evenly, so it can also be read without colour vision.
HEAT = (
    "#440154",
    "#482878",
    "#3e4a89",
    "#31688e",
    "#26828e",
    "#1f9e89",
    "#35b779",
    "#6dcd59",
    "#b4de2c",
    "#fde725",
)
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


class Theme(NamedTuple):
    """The colours of the page in one colour scheme.

    Attributes:
        families: Colours of lines, after Okabe and Ito: readers with the common kinds
            of colour blindness can tell them apart.
        page: Background of the page.
        panel: Background of cards and code.
        text: Text.
        muted: Captions and axis titles.
        rule: Rules of tables and axes.
        grid: Grid lines of the charts.
        accent: Links.
    """

    families: tuple[str, ...]
    page: str
    panel: str
    text: str
    muted: str
    rule: str
    grid: str
    accent: str


LIGHT = Theme(
    families=("#c84a00", "#0063b1", "#d99100", "#3ba3d8", "#00845c", "#a4509a"),
    page="#fdfdfb",
    panel="#f4f4ef",
    text="#1c1d20",
    muted="#5a5d66",
    rule="#d9d9d2",
    grid="#ecece6",
    accent="#0a5aa0",
)
DARK = Theme(
    families=("#ff8a4f", "#58a6f0", "#f5c453", "#a5dcf7", "#3fc79a", "#dd93d3"),
    page="#16181c",
    panel="#1f2228",
    text="#e8e8e4",
    muted="#a6a9b2",
    rule="#3a3e46",
    grid="#292d34",
    accent="#7cbcff",
)


def css_variables(theme: Theme) -> str:
    """Return `theme` as CSS custom properties such as `--text`."""
    named = theme._asdict()
    families = named.pop("families")
    lines = [f"--{name}: {colour};" for name, colour in named.items()]
    lines += [f"--family-{index}: {colour};" for index, colour in enumerate(families)]
    return " ".join(lines)


def vega_config(theme: Theme) -> dict[str, Any]:
    """Return the Vega-Lite configuration of charts in `theme`."""
    return {
        "background": theme.page,
        "font": FONT,
        "view": {"stroke": None},
        "range": {"category": list(theme.families)},
        "axis": {
            "labelColor": theme.muted,
            "titleColor": theme.muted,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "gridColor": theme.grid,
            "domainColor": theme.rule,
            "tickColor": theme.rule,
            "labelPadding": 4,
        },
        "axisX": {"grid": False, "labelFlush": True},
        "axisY": {"domain": False, "ticks": False},
        "legend": {
            "labelColor": theme.text,
            "titleColor": theme.muted,
            "labelFontSize": 12,
            "labelLimit": 0,
        },
        "style": {"empty": {"fill": theme.rule}},
        "title": {"color": theme.text, "fontSize": 15, "anchor": "start", "offset": 14},
    }


def ordered_families(study: str, present: set[str]) -> list[str]:
    """Return a study's families in the order of their colours, known ones first."""
    known = STUDIES[study].families if study in STUDIES else ()
    return [*known, *sorted(present - set(known))]
