"""A network of the user's own: its gradient by layer, time step and parameter array."""

import math
from collections import defaultdict
from collections.abc import Container, Iterable

from jaxnets.report.charts.axes import Axes
from jaxnets.report.charts.figures import Plot, Spot
from jaxnets.report.intervals import number
from jaxnets.report.sections.gradients import GRADIENT, LOG_NORM
from jaxnets.report.sections.section import (
    Section,
    Spots,
    Table,
    as_size,
    make_section,
)
from jaxnets.runs.folder import Run
from jaxnets.runs.intervals import NOT_NEGATIVE, SHARE
from jaxnets.runs.records import Record
from jaxnets.runs.selection import of_metric


# More panels are not looked at.
MOST_PANELS = 4
ARRAYS = {
    "log10_array_gradient_norm": "gradient",
    "log10_array_weight_norm": "weight",
    "log10_array_update_norm": "update",
}
SHARES = {
    "dead_share": "dead units",
    "saturated_share": "saturated",
    "zero_share": "zero",
}
# A smaller share of saturated or zero outputs is no news.
LEAST_SHARE = 0.05


def draw(run: Run) -> Section:
    """Return the section of the networks that a user measured."""
    records = run.of_study("model")
    networks = {record.family for record in records}
    gradients = of_metric(records, GRADIENT)
    in_time = _places_in_time(gradients)
    depth = [record for record in gradients if record.place not in in_time]
    time = [record for record in gradients if record.place in in_time]
    plots: list[tuple[Plot, Spots]] = [
        (_TIME, _over_time(time)),
        (_DEPTH, _along_chains(depth, of_metric(records, "chain"))),
        (_LOSS, _curve(of_metric(records, "loss"))),
        (_SHARES, _shares(of_metric(records, *SHARES), in_time)),
    ]
    section = make_section(
        "model",
        "Does the gradient reach every layer, time step and parameter array?",
        plots,
        _table(records, networks),
        networks,
    )
    arrays = make_section(
        "model", "", [(_ARRAYS, _arrays(records))], None, set(ARRAYS.values())
    )
    figures = [*section.figures[:1], *arrays.figures, *section.figures[1:]]
    # What a network does not have, such as time steps, is not missing.
    return section._replace(figures=figures, absent=[])


_TIME = Plot(
    "gradient-over-time",
    "Gradient over time",
    "A line that falls to the left is a gradient that shrinks on its way to the past.",
    Axes("time step", LOG_NORM),
)
_DEPTH = Plot(
    "gradient-by-layer",
    "Gradient by layer",
    "From the input at the top to the loss at the bottom. A line that runs to the left "
    "as it goes up is a gradient that shrinks on its way to the input.",
    Axes("layer", LOG_NORM),
    kind="profile",
)
_ARRAYS = Plot(
    "arrays",
    "Gradient, weight and update of each parameter array",
    "Without a mark for the gradient it is exactly zero, and the array does not learn. "
    "Biases that start at zero have no mark for the weight. An update of about a "
    "thousandth of the weight, three units to its left, is usual.",
    Axes("array", "norm (log10)"),
    kind="dots",
)
_LOSS = Plot(
    "loss",
    "Loss",
    "The command check trains on one batch, which a network that can learn soon fits.",
    Axes("update", "loss", bounds=NOT_NEGATIVE, log=True),
)
_SHARES = Plot(
    "shares",
    "Outputs that pass no gradient on",
    "A unit is dead if it is zero at all inputs. Half of a ReLU's outputs are zero in "
    "a healthy network.",
    Axes("layer", "share of outputs", bounds=SHARE, share=True),
    kind="dots",
)


def _places_in_time(gradients: list[Record]) -> set[str]:
    positions: defaultdict[tuple[str, str], set[int | None]] = defaultdict(set)
    for record in gradients:
        positions[record.arm, record.place].add(record.position)
    return {place for (_, place), found in positions.items() if len(found) > 1}


def _moments(records: list[Record]) -> dict[int, str]:
    """Return the role of each measured step; none if there is one step only."""
    steps = sorted({record.step for record in records})
    if len(steps) < 2:
        return dict.fromkeys(steps, "")
    ends = {steps[0], steps[-1]}
    return {
        step: f"after {step} updates" if step else "before training" for step in ends
    }


def _over_time(records: list[Record]) -> Spots:
    moments = _moments(records)
    for place in _states(dict.fromkeys(record.place for record in records)):
        for r in records:
            if r.place == place and r.step in moments and r.position is not None:
                yield r, Spot(float(r.position), place, moments[r.step])


def _states(places: Iterable[str]) -> list[str]:
    """Return the places in time that are drawn: states, not gates.

    Example:
        >>> _states(["rnn/cell/sigmoid", "rnn/cell/c", "rnn/cell/h"])
        ['rnn/cell/c', 'rnn/cell/h']
    """
    names = {place: place.partition("#")[0].rpartition("/")[2] for place in places}
    states = [place for place, name in names.items() if name in ("h", "c")]
    # Without names for states the outermost taps, which have the shortest paths.
    return (states or sorted(names, key=lambda p: p.count("/")))[:MOST_PANELS]


def _along_chains(depth: list[Record], chains: list[Record]) -> Spots:
    """Draw the main chain, and others in which the gradient changes tenfold.

    Networks with the same chains share their charts; others are side by side.
    """
    moments = _moments(depth)
    names = dict.fromkeys(r.family for r in depth)
    networks = [
        (name, _of(depth, name), _chains(_of(depth, name), _of(chains, name)))
        for name in names
    ]
    if all(long == networks[0][2] for _, _, long in networks):
        networks = [("", depth, _chains(depth, chains))]
    for name, rows, long in networks:
        drawn = [*long[:1], *(p for p in long[1:] if _span(rows, p) > 1)]
        for places in drawn[: max(1, MOST_PANELS // len(networks))]:
            ordered = sorted(places, key=lambda place: places[place])
            ends = f"{ordered[0]} to {ordered[-1]}" if len(drawn) > 1 else ""
            title = ", ".join(filter(None, (name, ends)))
            for r in rows:
                if r.place in places and r.step in moments:
                    yield r, Spot(float(places[r.place]), title, moments[r.step])


def _of(records: list[Record], name: str) -> list[Record]:
    return [record for record in records if record.family == name]


def _chains(depth: list[Record], chains: list[Record]) -> list[dict[str, int]]:
    """Return the position of each place, by chain; without chains all are in one."""
    series: dict[float, dict[str, int]] = defaultdict(dict)
    for record in chains:
        series[record.value][record.place] = record.position or 0
    long = [places for _, places in sorted(series.items()) if len(places) > 1]
    return long or [{r.place: r.position or 0 for r in depth}]


def _span(depth: list[Record], places: Container[str]) -> float:
    """Return by how many powers of ten the gradients of a chain differ."""
    values = [r.value for r in depth if r.place in places and math.isfinite(r.value)]
    return max(values, default=0.0) - min(values, default=0.0)


def _arrays(records: list[Record]) -> Spots:
    """Draw the arrays at the first step, a panel for each network."""
    found = of_metric(records, *ARRAYS)
    first = min((record.step for record in found), default=0)
    names = dict.fromkeys(r.family for r in found)
    gradients = of_metric(records, GRADIENT)
    modules = {n: dict.fromkeys(r.place for r in _of(gradients, n)) for n in names}
    for record in sorted(found, key=lambda r: _path_order(r.place)):
        # Biases that start at zero have no logarithm, which is no news.
        is_gradient = ARRAYS[record.metric] == "gradient"
        if record.step == first and (is_gradient or math.isfinite(record.value)):
            title = record.family if len(names) > 1 else ""
            place = _place_of(record.place, modules[record.family])
            yield record._replace(family=ARRAYS[record.metric]), Spot(place, title)


def _place_of(array: str, modules: Iterable[str]) -> float:
    """Return the place of an array in the forward pass, by that of its module."""
    module = array.rpartition("/")[0]
    order = [n for n, tap in enumerate(modules) if tap == module]
    return float(order[0]) if order else math.inf


def _path_order(path: str) -> list[tuple[int, str]]:
    """Return a key that sorts paths with their numbers as numbers.

    Example:
        >>> sorted(["a/10", "a/9"], key=_path_order)
        ['a/9', 'a/10']
    """
    return [(int(p) if p.isdigit() else -1, p) for p in path.split("/")]


def _curve(losses: list[Record]) -> Spots:
    if len({record.step for record in losses}) > 1:
        for record in losses:
            yield record, Spot(float(record.step))


def _shares(records: list[Record], in_time: set[str]) -> Spots:
    """Draw the shares at the last step, of the metrics that are worth a look.

    Networks with the same layers share their charts; others are side by side.
    """
    last = max((record.step for record in records), default=0)
    found = [r for r in records if r.step == last and r.place not in in_time]
    groups = {f"{n}, ": _of(found, n) for n in dict.fromkeys(r.family for r in found)}
    layers = [{(r.place, r.position) for r in rows} for rows in groups.values()]
    if all(each == layers[0] for each in layers):
        groups = {"": found}
    for metric, title in SHARES.items():
        for name, rows in groups.items():
            shown = of_metric(rows, metric)
            if any(record.value > LEAST_SHARE for record in shown):
                for record in shown:
                    yield record, Spot(float(record.position or 0), f"{name}{title}")


def _table(records: list[Record], networks: set[str]) -> Table | None:
    losses = of_metric(records, "loss")
    if not losses:
        return None
    rows = []
    for name in sorted(networks):
        of_network = _of(losses, name)
        count = [r.value for r in _of(of_metric(records, "parameter_count"), name)]
        steps = sorted({r.step for r in of_network})
        ends = [as_size([r for r in of_network if r.step == s]) for s in steps]
        rows.append(
            [
                name,
                number(int(count[0])) if count else "–",
                ends[0] if ends else "–",
                f"{ends[-1]} (step {steps[-1]:,})" if len(ends) > 1 else "–",
            ]
        )
    head = ["Network", "Parameters", "Loss at the start", "Loss at the end"]
    return Table("The networks", "Mean and interval over seeds.", head, rows)
