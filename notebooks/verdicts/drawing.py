"""`draw`: a healthy and a sick network in one chart."""

import base64
from typing import NamedTuple

import altair as alt
import numpy as np
import vl_convert
from IPython.display import HTML


HEALTHY, SICK = "#1a7f64", "#c8472c"


class Picture(NamedTuple):
    """Two lines over the same axis.

    Attributes:
        x: What the horizontal axis counts.
        y: What the vertical axis measures.
        healthy: What the healthy network is.
        sick: What the sick one is.
        lines: The values of both.
        log: Whether the vertical axis shows the logarithm to base 10.
        at: The values of the horizontal axis; None counts from 1.
    """

    x: str
    y: str
    healthy: str
    sick: str
    lines: tuple[np.ndarray, np.ndarray]
    log: bool = False
    at: np.ndarray | None = None


def draw(made: Picture) -> HTML:
    """Return the chart as an image with a description."""
    names = {made.healthy: HEALTHY, made.sick: SICK}
    transform = np.log10 if made.log else np.asarray
    at = range(1, len(made.lines[0]) + 1) if made.at is None else made.at
    rows = [
        {"x": float(x), "y": float(y), "network": name}
        for name, line in zip(names, made.lines, strict=True)
        for x, y in zip(at, transform(line), strict=True)
        # A line ends where its numbers do.
        if np.isfinite(y)
    ]
    y_title = f"{made.y} (log10)" if made.log else made.y
    chart = (
        alt.Chart(alt.InlineData(rows), width=420, height=200)
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("x:Q", title=made.x, scale=alt.Scale(nice=False)),
            y=alt.Y("y:Q", title=y_title),
            color=alt.Color(
                "network:N",
                title=None,
                scale=alt.Scale(domain=list(names), range=list(names.values())),
                legend=alt.Legend(orient="top"),
            ),
        )
    )
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    data = base64.b64encode(svg.encode()).decode()
    alt_text = f"{y_title} over {made.x}: {made.healthy} (healthy), {made.sick} (sick)"
    return HTML(
        f'<img class="picture" alt="{alt_text}" src="data:image/svg+xml;base64,{data}">'
    )
