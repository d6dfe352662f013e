"""The charts where the reader chooses size and training step."""

import math

import pytest

from jaxnets.report import export_charts
from jaxnets.report.charts.axes import MEASURED, PREDICTED
from jaxnets.report.charts.explorer import POINTS, Explorer
from jaxnets.runs.estimates import estimate
from tests.report.synthetic import (
    DEPTHS,
    LENGTHS,
    STEPS,
    records_of,
    section_of,
    write_run,
)


def explorer(study, records):
    (found,) = [
        f for f in section_of(study, records).figures if isinstance(f, Explorer)
    ]
    return found


@pytest.fixture(scope="module")
def records():
    return records_of(["depth", "time"])


def of_study(records, study):
    return [record for record in records if record.study == study]


def test_there_is_a_line_for_each_size_and_step(records):
    figure = explorer("depth", of_study(records, "depth"))
    measured = {(f, n, s) for f, role, n, s in figure.lines if role == MEASURED}
    families = ("plain", "residual", "plain + BatchNorm", "residual + BatchNorm")
    assert measured == {(f, n, s) for f in families for n in DEPTHS for s in STEPS}
    theory = {(f, n, s) for f, role, n, s in figure.lines if role == PREDICTED}
    assert theory == {(f, n, 0) for f in families[:2] for n in DEPTHS}


def test_a_point_is_the_estimate_at_the_chosen_block_depth_and_step(records):
    figure = explorer("depth", of_study(records, "depth"))
    values = [
        record.value
        for record in records
        if (record.study, record.family, record.size) == ("depth", "plain", 20)
        and (record.step, record.position) == (80, 7)
        and record.metric == "log10_gradient_norm"
    ]
    assert len(values) == 3
    assert dict(figure.lines["plain", MEASURED, 20, 80].points)[7] == estimate(values)


def test_rows_hold_one_list_a_line(records):
    figure = explorer("time", of_study(records, "time"))
    chart = figure.chart(figure.panels[0], legend=False)
    rows = chart["datasets"]["rows"]
    assert len(rows) == len(figure.lines)
    (row,) = [
        r
        for r in rows
        if (r["family"], r["role"], r["size"], r["step"]) == ("LSTM", MEASURED, 100, 40)
    ]
    assert len({len(row[k]) for k in ("x", "mean", "low", "high", "seeds")}) == 1
    assert (row["x"][0], row["x"][-1]) == (0, 99) and len(row["x"]) <= POINTS + 1
    assert row["seeds"] == [3] * len(row["x"])
    assert all(
        low < mean < high
        for low, mean, high in zip(row["low"], row["mean"], row["high"], strict=True)
    )


def test_the_first_choice_is_everything_of_the_largest_size_before_training(records):
    figure = explorer("time", of_study(records, "time"))
    chart = figure.chart(figure.panels[0], legend=True)
    first = {p["name"]: p["value"] for p in chart["params"] if "value" in p}
    assert first == {
        "chosen_families": ["RNN", "GRU", "LSTM"],
        "chosen_size": LENGTHS[-1],
        "chosen_step": 0,
    }
    assert figure.heading(figure.panels[0]) == (
        "Gradient by time step, at any moment, length 100, before training"
    )


def test_lines_that_are_not_finite_are_named_and_not_drawn(records):
    found = [
        r._replace(value=-math.inf)
        if (r.family, r.size, r.step) == ("RNN", 50, 40) and r.position is not None
        else r
        for r in of_study(records, "time")
    ]
    figure = explorer("time", found)
    assert ("RNN", MEASURED, 50, 40) not in figure.lines
    assert ("RNN", MEASURED, 50, 20) in figure.lines
    assert figure.notes[-1].endswith("left out: RNN, length 50.")


def test_a_single_moment_leaves_nothing_to_choose(tmp_path, records):
    found = [
        r
        for r in of_study(records, "time")
        if (r.size, r.step, r.family) == (50, 0, "LSTM")
        and r.metric == "log10_gradient_norm"
    ]
    figure = explorer("time", found)
    assert [len(control.values) for control in figure.controls] == [1, 1, 1]
    paths = export_charts(write_run(tmp_path, found), "svg")
    (path,) = [path for path in paths if "explorer" in path.name]
    assert path.name == "time-gradient-explorer.svg"
    svg = path.read_text()
    assert "length 50, before training" in svg
    assert svg.count('aria-roledescription="line mark"') == 1
