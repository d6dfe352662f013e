"""The phase diagram: networks in the plane of weight and bias variance."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import altair as alt

from jaxnets.report.charts.axes import Axes
from jaxnets.report.charts.figures import Panel, Plot
from jaxnets.report.charts.lines import with_title
from jaxnets.report.charts.specification import rounded, to_specification
from jaxnets.report.charts.style import ordered_families
from jaxnets.report.intervals import interval, number
from jaxnets.runs.estimates import Estimate, over_seeds
from jaxnets.runs.records import Record
from jaxnets.runs.selection import of_metric


# What a network does to gradients if its log chi_1 is below and above 0.
SIDES = ("vanishes", "explodes")
_READING = (
    "Left of the dashed line lies the ordered phase, where gradients vanish (downward "
    "triangles); right of it lies the chaotic phase, where they explode (upward "
    "triangles). The number at each network is its measured log chi_1, the change of "
    "the logarithm of a squared gradient per layer; theory predicts 0 on the line."
)
_AXES = Axes("weight variance", "bias variance")


class PhaseDiagram(NamedTuple):
    """The networks of a study and the critical line, with a panel for each activation.

    Attributes:
        study: Name of the study.
        plot: What the figure shows.
        panels: One for each activation; never empty.
        rows: The data of each panel by its title: points of the line, and networks.
        notes: A sentence on the seeds.
    """

    study: str
    plot: Plot
    panels: list[Panel]
    rows: dict[str, list[dict[str, Any]]]
    notes: list[str]

    def chart(self, panel: Panel, legend: bool) -> dict[str, Any]:
        """Return the Vega-Lite specification of a panel, which needs no legend."""
        del legend
        rows = self.rows[panel.title]
        xs, ys = ([row[axis] for row in rows] for axis in ("x", "y"))
        # The critical line of sigmoid networks lies at a weight variance of 103.
        scale = "log" if max(xs) > 10 * min(xs) else "linear"
        base = alt.Chart(alt.NamedData("rows")).encode(
            x=alt.X(
                "x:Q",
                title=self.plot.axes.x,
                scale=alt.Scale(
                    type=scale, domain=[min(xs), max(xs)], nice=False, padding=30
                ),
                axis=alt.Axis(tickCount=5, format="~g", labelOverlap=True),
            ),
            y=alt.Y(
                "y:Q",
                title=self.plot.axes.y,
                scale=alt.Scale(domain=[0, max(*ys, 0.01)]),
                axis=alt.Axis(tickCount=5),
            ),
        )
        line = (
            base.transform_filter("datum.kind == 'line'")
            .encode(order="y:Q")
            .mark_line(strokeDash=[6, 4], color="gray", strokeWidth=2)
        )
        network = base.transform_filter("datum.kind == 'network'")
        # Labels are shifted away from the line, which may start at a network.
        labels = [
            network.transform_filter(f"datum.side == '{side}'")
            .mark_text(dx=dx, dy=-13, color="gray")
            .encode(text="label:N")
            for side, dx in zip(SIDES, (-10, 10), strict=True)
        ]
        layers = [line, _points(network, self.plot.axes), *labels]
        return to_specification(alt.LayerChart(layer=layers), rows, panel.description)

    def heading(self, panel: Panel) -> str:
        """Return the title of a panel that is exported alone."""
        return with_title(self.plot.title, panel.title)


def _points(network: alt.Chart, axes: Axes) -> alt.Chart:
    """Return the networks as triangles that point down (vanishes) or up (explodes)."""
    shapes = alt.Scale(domain=list(SIDES), range=["triangle-down", "triangle-up"])
    return network.mark_point(filled=True, size=90, opacity=1).encode(
        color=alt.Color("side:N", scale=alt.Scale(domain=list(SIDES)), legend=None),
        shape=alt.Shape("side:N", scale=shapes, legend=None),
        tooltip=[
            alt.Tooltip("name:N", title="network"),
            alt.Tooltip("x:Q", title=axes.x),
            alt.Tooltip("y:Q", title=axes.y),
            alt.Tooltip("value:N", title="log chi_1"),
        ],
    )


def make_phase_diagram(
    study: str,
    title: str,
    records: Iterable[Record],
    measured: str,
    panel_of: Callable[[Record], str],
) -> PhaseDiagram | None:
    """Return the networks beside the critical lines of their activations.

    Args:
        study: Name of the study.
        title: Heading of the figure.
        records: The records of the study.
        measured: The metric that holds log chi_1.
        panel_of: Returns the title of the panel that a record belongs to.

    Returns:
        The figure, or None if there is no network or a panel has no line.
    """
    records = list(records)
    networks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    seeds = []
    values = of_metric(records, measured)
    for network in _networks(records):
        key = network.record.family, network.record.size
        found = over_seeds(r for r in values if (r.family, r.size) == key)
        if found:
            seeds.append(found.seeds)
            networks[panel_of(network.record)].append(_row(network, found))
    lines = _lines(records, panel_of)
    if not networks or not networks.keys() <= lines.keys():
        return None
    names = sorted(networks, key=ordered_families(study, {*networks}).index)
    plot = Plot("phase-diagram", title, _READING, _AXES)
    panels = [Panel(name, _describe(plot, name, networks[name])) for name in names]
    rows = {name: lines[name] + networks[name] for name in names}
    count = max(seeds)
    numbers = "the value of one seed" if count == 1 else f"the mean of {count} seeds"
    notes = [
        f"Dashed: where theory's chi_1 is 1. Numbers: {numbers}; point at a network to "
        "read its interval."
    ]
    return PhaseDiagram(study, plot, panels, rows, notes)


class _Network(NamedTuple):
    """A network: one of its records, and its variances of weights and biases."""

    record: Record
    x: float
    y: float


def _networks(records: list[Record]) -> list[_Network]:
    """Return the networks that have both variances."""
    biases = {(r.family, r.size): r for r in of_metric(records, "bias_variance")}
    return [
        _Network(r, rounded(r.value), rounded(biases[r.family, r.size].value))
        for r in of_metric(records, "weight_variance")
        if (r.family, r.size) in biases
    ]


def _row(network: _Network, found: Estimate) -> dict[str, Any]:
    """Return a network as a row of data."""
    return {
        "kind": "network",
        "name": network.record.family,
        "x": network.x,
        "y": network.y,
        "side": SIDES[found.mean > 0],
        "label": number(found.mean, 2),
        "value": interval(found),
    }


def _lines(
    records: list[Record], panel_of: Callable[[Record], str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the points of each panel's line, which several networks may repeat."""
    points: dict[str, dict[int | None, dict[str, Any]]] = defaultdict(dict)
    for axis, metric in (
        ("x", "critical_weight_variance"),
        ("y", "critical_bias_variance"),
    ):
        for record in of_metric(records, metric):
            point = points[panel_of(record)].setdefault(
                record.position, {"kind": "line"}
            )
            point[axis] = rounded(record.value)
    return {name: list(line.values()) for name, line in points.items()}


def _describe(plot: Plot, name: str, networks: list[dict[str, Any]]) -> str:
    values = [f"{row['label']} at ({row['x']:g}, {row['y']:g})" for row in networks]
    heading = with_title(plot.title, name)
    return f"{heading}. Measured log chi_1: {'; '.join(values)}."
