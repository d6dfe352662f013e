"""The parts of a Vega-Lite specification that all charts share."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from jaxnets.report.charts.controls import Control, vega_parameters


HEIGHT = 250


def to_specification(
    chart: alt.Chart | alt.LayerChart,
    rows: list[dict[str, Any]],
    description: str,
    controls: Sequence[Control] = (),
) -> dict[str, Any]:
    """Return the specification of `chart`, with its data, as wide as its container.

    Args:
        chart: A chart of the data named `rows`.
        rows: The data.
        description: What the chart shows, for readers who cannot see it.
        controls: What the reader can choose.
    """
    chart = chart.properties(
        width="container",
        height=HEIGHT,
        description=description,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )
    # The tests validate all specifications, so a report need not.
    specification = chart.to_dict(validate=False)
    if controls:
        own = specification.get("params", [])
        specification["params"] = [*vega_parameters(controls), *own]
    return {**specification, "datasets": {"rows": rows}}


def thinned[Point](points: Sequence[Point], count: int) -> list[Point]:
    """Return about `count` evenly spaced points, always with the first and the last."""
    stride = math.ceil(len(points) / count)
    last = len(points) - 1
    return [
        point
        for index, point in enumerate(points)
        if index == last or (index % stride == 0 and last - index >= stride / 2)
    ]


def rounded(value: float, digits: int = 5) -> float:
    """Return `value` with as many digits as a chart can show: the page stays small."""
    return float(f"{value:.{digits}g}")
