"""The heat maps over training."""

import json
import math

import numpy as np
import pytest

from jaxnets.report import export_charts
from jaxnets.report.charts.heat_maps import ROWS, HeatMap
from jaxnets.report.html.legends import heat_legend
from tests.report.synthetic import (
    DEPTHS,
    LENGTHS,
    STEPS,
    records_of,
    section_of,
    write_run,
)


def heat_map(study, records):
    (found,) = [f for f in section_of(study, records).figures if isinstance(f, HeatMap)]
    return found


def cells(figure, family, size):
    """Return the cells as Vega flattens them: `{(low, step): mean}`."""
    return {
        (low, row["step"]): mean
        for row in figure.rows[family]
        if row["size"] == size
        for low, mean in zip(row["low"], row["mean"], strict=True)
    }


def test_a_cell_is_the_mean_over_seeds_at_its_block_and_step():
    records = records_of(["depth"])
    found = cells(heat_map("depth", records), "plain", 20)
    assert set(found) == {(b - 0.5, step) for b in range(20) for step in STEPS}
    for low, step in ((-0.5, 0), (2.5, 160), (18.5, 320)):
        values = [
            record.value
            for record in records
            if (record.family, record.size, record.step) == ("plain", 20, step)
            and record.position == low + 0.5
            and record.metric == "log10_gradient_norm"
        ]
        assert len(values) == 3
        assert found[low, step] == pytest.approx(np.mean(values), rel=1e-3)


def test_time_goes_back_from_the_end_in_cells_of_equal_height():
    records = records_of(["time"])
    figure = heat_map("time", records)
    found = cells(figure, "GRU", 100)
    assert {low for low, _ in found} == {2 * row - 0.5 for row in range(ROWS)}
    last_two = [
        record.value
        for record in records
        if (record.family, record.size, record.step) == ("GRU", 100, 40)
        and record.metric == "log10_gradient_norm"
        and record.position in (98, 99)
    ]
    expected = pytest.approx(sum(last_two) / len(last_two), rel=1e-3)
    assert found[-0.5, 40] == expected


def test_all_maps_of_a_study_share_one_scale_of_colours():
    figure = heat_map("depth", records_of(["depth"]))
    charts = [figure.chart(panel, legend=False) for panel in figure.panels]
    scales = {json.dumps(chart["encoding"]["color"]["scale"]) for chart in charts}
    assert len(scales) == 1
    means = [m for rows in figure.rows.values() for row in rows for m in row["mean"]]
    assert json.loads(scales.pop())["domain"] == [min(means), max(means)]
    assert [panel.title for panel in figure.panels] == [
        "plain",
        "residual",
        "plain + BatchNorm",
        "residual + BatchNorm",
    ]


def test_the_chart_holds_all_sizes_and_shows_the_largest_first():
    figure = heat_map("depth", records_of(["depth"], seeds=1))
    chart = figure.chart(figure.panels[0], legend=False)
    assert chart["params"] == [{"name": "chosen_size", "value": DEPTHS[-1]}]
    assert {row["size"] for row in chart["datasets"]["rows"]} == set(DEPTHS)
    assert figure.heading(figure.panels[1]) == (
        "Gradient by block, over training, residual, depth 32"
    )


def test_cells_that_are_not_finite_are_named_and_empty():
    records = [
        r._replace(value=-math.inf)
        if (r.family, r.size, r.position) == ("RNN", 50, 0)
        else r
        for r in records_of(["time"], seeds=1)
    ]
    figure = heat_map("time", records)
    found = cells(figure, "RNN", 50)
    empty = {cell for cell, mean in found.items() if mean is None}
    assert empty == {(48.5, step) for step in STEPS}
    assert figure.notes[-1].endswith("left out: RNN.")
    assert None not in cells(figure, "LSTM", 50).values()
    assert "no finite value" in heat_legend(figure)
    whole = heat_map("time", records_of(["time"], seeds=1))
    assert "no finite value" not in heat_legend(whole)


def test_an_exported_map_shows_the_largest_size(tmp_path):
    records = [
        r
        for r in records_of(["time"], seeds=1)
        if r.family == "RNN" and r.metric == "log10_gradient_norm"
    ]
    paths = export_charts(write_run(tmp_path, records), "svg")
    (path,) = [path for path in paths if "over-training" in path.name]
    assert path.name == "time-gradient-over-training-rnn.svg"
    svg = path.read_text()
    assert f"length {LENGTHS[-1]}" in svg and "gradient norm (log10)" in svg
    # One rectangle for each cell; those of legend and background are not marks.
    assert svg.count('aria-roledescription="rect mark"') == ROWS * len(STEPS)
