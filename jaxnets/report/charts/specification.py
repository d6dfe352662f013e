"""What all charts share: their size, their data and their parameters."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from jaxnets.report.charts.controls import Control, parameters


HEIGHT = 250


def to_specification(
    chart: alt.Chart | alt.LayerChart,
    rows: list[dict[str, Any]],
    description: str,
    controls: Sequence[Control] = (),
) -> dict[str, Any]:
    """Return the specification of `chart`, as wide as its container, with its rows.

    Args:
        chart: A chart of the data named `rows`.
        rows: Those data.
        description: What the chart shows, for those who cannot see it.
        controls: What the reader can choose.
    """
    chart = chart.properties(
        width="container",
        height=HEIGHT,
        description=description,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )
    written = chart.to_dict(validate=False)
    if controls:
        written["params"] = [*parameters(controls), *written.get("params", [])]
    return {**written, "datasets": {"rows": rows}}


def thinned[Point](points: Sequence[Point], count: int) -> list[Point]:
    """Return every so many points, about `count` of them, and the last."""
    stride = math.ceil(len(points) / count)
    last = len(points) - 1
    return [
        point
        for index, point in enumerate(points)
        if index == last or (index % stride == 0 and last - index >= stride / 2)
    ]


def rounded(value: float, digits: int = 5) -> float:
    """Round to what a chart can show, which keeps the page small."""
    return float(f"{value:.{digits}g}")
