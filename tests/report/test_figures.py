"""The figures that each study draws from its records."""

import json
import math

import altair as alt
import pytest

from jaxnets.report.charts.axes import MEASURED, PREDICTED
from jaxnets.report.charts.figures import Figure
from jaxnets.report.charts.heat_maps import HeatMap
from jaxnets.report.sections.gradients import as_misfit
from jaxnets.report.studies import study_sections
from jaxnets.runs.estimates import estimate
from jaxnets.runs.folder import RunFolder
from jaxnets.runs.selection import of_metric
from tests.report.synthetic import (
    DEPTHS,
    LENGTHS,
    MAKERS,
    records_of,
    section_of,
    write_run,
)


@pytest.fixture(scope="module")
def records():
    return records_of()


@pytest.fixture(scope="module")
def sections(records):
    return {name: section_of(name, records) for name in MAKERS}


def figure_of(section, name):
    return next(figure for figure in section.figures if figure.plot.name == name)


def rows_of(specification):
    return specification["datasets"]["rows"]


def test_each_study_draws_what_it_has(sections):
    names = {
        name: [figure.plot.name for figure in section.figures]
        for name, section in sections.items()
    }
    assert names == {
        "depth": [
            "gradient-by-block",
            "test-accuracy",
            "first-layer-gradient",
            "gradient-explorer",
            "gradient-over-training",
            "gradient-during-training",
            "response-by-block",
            "gradient-correlation",
            "path-length",
            "lesion-profile",
            "block-contribution",
            "validation-accuracy",
            "validation-loss",
        ],
        "time": [
            "gradient-by-time-step-before",
            "gradient-by-time-step-after",
            "validation-loss",
            "gradient-explorer",
            "gradient-over-training",
        ],
        "saturation": ["saturated-share", "gradient-by-layer", "phase-diagram"],
        "overfitting": ["losses", "accuracies", "gap"],
    }
    assert [section.absent for section in sections.values()] == [[]] * 4


def test_a_panel_for_each_size(sections):
    titles = [p.title for p in figure_of(sections["depth"], "gradient-by-block").panels]
    assert titles == [f"depth {depth}" for depth in DEPTHS]
    lengths = figure_of(sections["time"], "gradient-by-time-step-before").panels
    assert [panel.title for panel in lengths] == [f"length {n}" for n in LENGTHS]


def test_every_figure_has_a_valid_and_small_chart(sections):
    for section in sections.values():
        for figure in section.figures:
            specification = figure.chart(figure.panels[-1], legend=True)
            alt.Chart.from_dict(specification, validate=True)
            written = json.dumps(specification, separators=(",", ":"))
            assert len(written) < 70_000
            assert "NaN" not in written and "Infinity" not in written


def test_a_line_shows_the_mean_over_seeds(sections, records):
    figure = figure_of(sections["depth"], "first-layer-gradient")
    (plain,) = [drawn for drawn in figure.panels[0].lines if drawn.family == "plain"]
    for depth, found in plain.points:
        values = [
            record.value
            for record in records
            if record.arm == f"plain-{depth:g}"
            and (record.metric, record.position) == ("log10_gradient_norm", 0)
            and record.step == 0
        ]
        assert len(values) == 3
        assert found == estimate(values)


def test_time_is_drawn_from_the_end_backwards(sections, records):
    figure = figure_of(sections["time"], "gradient-by-time-step-before")
    (lstm,) = [drawn for drawn in figure.panels[0].lines if drawn.family == "LSTM"]
    xs = [x for x, _ in lstm.points]
    assert xs == list(range(LENGTHS[0]))
    at_the_end = [
        record.value
        for record in records
        if (record.study, record.family, record.size) == ("time", "LSTM", LENGTHS[0])
        and (record.metric, record.step) == ("log10_gradient_norm", 0)
        and record.position == LENGTHS[0] - 1
    ]
    assert lstm.points[0][1] == estimate(at_the_end)


def test_the_gap_is_taken_within_each_seed(sections, records):
    (gaps,) = figure_of(sections["overfitting"], "gap").panels
    (without,) = [drawn for drawn in gaps.lines if drawn.family == "no dropout"]
    step, found = without.points[-1]
    values = {}
    for record in records:
        if (record.family, record.step) == ("no dropout", step):
            values[record.seed, record.metric] = record.value
    expected = [
        values[seed, "validation_loss"] - values[seed, "train_loss"]
        for seed in range(3)
    ]
    assert found.mean == pytest.approx(sum(expected) / 3)


def test_a_family_has_one_colour_in_all_charts_and_runs():
    few = [r for r in records_of(["depth"], seeds=1) if r.size == DEPTHS[0]]
    whole = section_of("depth", few)
    part = section_of("depth", [r for r in few if r.family == "residual + BatchNorm"])
    domains = {
        json.dumps(layer["encoding"]["color"]["scale"]["domain"])
        for section in (whole, part)
        for figure in section.figures
        if not isinstance(figure, HeatMap)
        for panel in figure.panels
        for layer in figure.chart(panel, legend=False)["layer"]
    }
    assert len(domains) == 1
    figure = part.figures[0]
    assert isinstance(figure, Figure)
    assert figure.drawn() == [(3, "residual + BatchNorm")]


def test_the_table_has_a_misfit_only_where_theory_predicts(sections, records):
    table = sections["depth"].table
    column = table.head.index("Misfit of theory (decades)")
    cells = {(row[0], row[1]): row[column] for row in table.rows}
    assert cells["plain + BatchNorm", "8"] == "–"
    arm = [r for r in records if r.arm == "plain-8" and r.step == 0]
    metrics = "log10_gradient_norm", "predicted_log10_gradient_norm"
    assert cells["plain", "8"] == as_misfit(of_metric(arm, *metrics))


@pytest.mark.parametrize("last", [1, 7, 99, 320, 5000])
def test_ticks_are_few_and_whole(last):
    records = [
        r._replace(step=r.step and last)
        for r in records_of(["overfitting"], seeds=1)
        if r.step in (0, 320)
    ]
    figure = section_of("overfitting", records).figures[0]
    chart = figure.chart(figure.panels[0], legend=False)
    ticks = chart["layer"][0]["encoding"]["x"]["axis"]["values"]
    assert 2 <= len(ticks) <= 7
    assert all(tick == int(tick) and 0 <= tick <= last for tick in ticks)


def test_intervals_at_a_single_x_are_bars():
    records = [r for r in records_of(["overfitting"]) if r.step == 320]
    figure = section_of("overfitting", records).figures[0]
    assert "bars:" in figure.notes[0]
    chart = figure.chart(figure.panels[0], legend=False)
    assert chart["layer"][0]["mark"]["type"] == "rule"


def test_theory_belongs_to_no_seed():
    records = [
        r._replace(seed=-1) if r.metric.startswith("predicted_") else r
        for r in records_of(["time"])
    ]
    figure = section_of("time", records).figures[0]
    assert figure.notes == ["Mean of 3 seeds; bands: its 95 % t interval."]
    assert isinstance(figure, Figure)
    assert figure.roles() == [MEASURED, PREDICTED]


def test_values_that_are_not_finite_are_named_and_not_drawn():
    records = [
        r._replace(value=math.inf) if r.family == "plain" and r.size == 32 else r
        for r in records_of(["depth"])
    ]
    section = section_of("depth", records)
    figure = figure_of(section, "validation-loss")
    drawn = {drawn.family for drawn in figure.panels[-1].lines}
    assert drawn == {"residual", "plain + BatchNorm", "residual + BatchNorm"}
    assert any("plain, depth 32" in note for note in figure.notes)
    nothing = [r._replace(value=math.nan) for r in records]
    section = section_of("depth", nothing)
    assert not section.figures and len(section.absent) == 13


def test_long_lines_are_thinned_to_what_a_screen_shows():
    records = [
        r._replace(size=3000.0, position=r.position * 30 + shift)
        for r in records_of(["time"], seeds=1)
        if r.position is not None and r.size == LENGTHS[1]
        for shift in range(30)
    ]
    figure = section_of("time", records).figures[0]
    rows = rows_of(figure.chart(figure.panels[0], legend=False))
    xs = [row["x"] for row in rows if row["family"] == "LSTM"]
    assert len(xs) <= 101
    assert (xs[0], xs[-1]) == (0.0, 2999.0)


def test_only_requested_studies_appear(tmp_path):
    run = write_run(tmp_path, records_of(["time"]), config={"studies": ["time"]})
    assert [s.study for s in study_sections(RunFolder(run).read())] == ["time"]
    everything = write_run(tmp_path, records_of(["time"]))
    sections = study_sections(RunFolder(everything).read())
    assert [section.study for section in sections] == list(MAKERS)
    assert not sections[0].figures
