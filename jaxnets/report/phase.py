"""The phase diagram: networks in the plane of weight and bias variance."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from jaxnets.records import Record
from jaxnets.report.axes import Axes
from jaxnets.report.charts import embedded, short
from jaxnets.report.figures import Panel, Plot
from jaxnets.report.intervals import describe_intervals, interval, number, over_seeds
from jaxnets.report.selection import of_metric


CRITICAL_LINE = "critical line"
# Below and above 0 of log chi_1.
SIDES = ("vanishes", "explodes")
PLOT = Plot(
    "phase-diagram",
    "Order and chaos: tanh networks beside the critical line",
    "Left of the line lies the ordered phase, where gradients vanish (downward "
    "triangles), right of it the chaotic phase, where they explode (upward triangles). "
    "The number at each network is its measured log chi_1.",
    Axes("weight variance", "bias variance"),
)


class PhaseDiagram(NamedTuple):
    """The critical line and the networks of claim 2.

    Attributes:
        study: The study it belongs to.
        plot: What it shows.
        panels: One panel.
        rows: The points of the line and the networks.
        notes: A sentence on the seeds.
    """

    study: str
    plot: Plot
    panels: list[Panel]
    rows: list[dict[str, Any]]
    notes: list[str]

    def chart(self, panel: Panel, legend: bool) -> dict[str, Any]:
        """Return the specification of the chart; it needs no legend."""
        del legend
        base = alt.Chart(alt.NamedData("rows")).encode(
            x=alt.X(
                "x:Q",
                title=self.plot.axes.x,
                scale=alt.Scale(zero=False, padding=24),
            ),
            y=alt.Y("y:Q", title=self.plot.axes.y),
        )
        line = base.transform_filter("datum.kind == 'line'").encode(order="y:Q")
        network = base.transform_filter("datum.kind == 'network'")
        told = [
            alt.Tooltip("x:Q", title=self.plot.axes.x),
            alt.Tooltip("y:Q", title=self.plot.axes.y),
            alt.Tooltip("value:N", title="log chi_1"),
        ]
        points = network.mark_point(filled=True, size=90, opacity=1).encode(
            color=alt.Color("side:N", scale=alt.Scale(domain=list(SIDES)), legend=None),
            shape=alt.Shape(
                "side:N",
                scale=alt.Scale(
                    domain=list(SIDES),
                    range=["triangle-down", "triangle-up"],
                ),
                legend=None,
            ),
            tooltip=told,
        )
        labels = network.mark_text(dy=-13, color="gray").encode(text="label:N")
        stroke = line.mark_line(strokeDash=[6, 4], color="gray", strokeWidth=2)
        return embedded(
            alt.LayerChart(layer=[stroke, points, labels]), self.rows, panel.description
        )

    def heading(self, panel: Panel) -> str:
        """Return the heading of a panel that stands alone."""
        del panel
        return self.plot.title

    def drawn(self) -> list[tuple[int, str]]:
        """Return no families: shapes tell the phases apart."""
        return []

    def roles(self) -> list[str]:
        """Return no roles."""
        return []


def phase_diagram(records: Sequence[Record]) -> PhaseDiagram | None:
    """Draw the critical line and the networks; None where one of them is missing."""
    places: defaultdict[tuple[str, float], dict[str, float]] = defaultdict(dict)
    for record in of_metric(records, "weight_variance", "bias_variance"):
        places[record.family, record.size][record.metric] = short(record.value)
    rows, told, seeds = [], [], []
    for (family, size), place in places.items():
        row = {"x": place["weight_variance"], "y": place["bias_variance"]}
        if family == CRITICAL_LINE:
            rows.append({"kind": "line", **row})
            continue
        theirs = [r for r in of_metric(records, "claim") if r.family == family]
        found = over_seeds([record for record in theirs if record.size == size])
        if not found.seeds:
            continue
        seeds.append(found.seeds)
        label = number(found.mean, 2)
        rows.append(
            {
                "kind": "network",
                **row,
                "side": SIDES[found.mean > 0],
                "label": label,
                "value": interval(found),
            }
        )
        told.append(f"{label} at ({row['x']:g}, {row['y']:g})")
    if not seeds or len(rows) == len(seeds):
        return None
    description = f"{PLOT.title}. Measured log chi_1: {'; '.join(told)}."
    notes = ["Dashed: where theory's chi_1 is 1. " + describe_intervals(seeds)]
    return PhaseDiagram("theory", PLOT, [Panel("", description)], rows, notes)
