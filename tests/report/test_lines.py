"""Theory beside measurement: misfit, band and phase diagrams."""

import math

import altair as alt
import pytest

from jaxnets.report.charts.axes import MEASURED, PREDICTED, Line
from jaxnets.report.charts.lines import make_line, misfit
from jaxnets.runs.estimates import Estimate
from jaxnets.runs.records import Record
from tests.report.synthetic import section_of


METRICS = {
    "predicted_log10_gradient_norm": 0.0,
    "predicted_low_log10_gradient_norm": -0.3,
    "predicted_high_log10_gradient_norm": 0.2,
}


def record(study, family, size, seed, metric, position, value):
    arm = f"{family}-{size:g}".lower()
    return Record(study, arm, family, size, seed, 0, metric, "", position, value)


@pytest.fixture
def banded():
    """Theory loses 1 per block from the last backwards, with a band except at the last.

    `plain` is measured inside the band, `residual` outside at the first block.
    """
    records = []
    for family, off in (("plain", -0.25), ("residual", 0.25)):
        for position in range(3):
            back = 2 - position
            where = {"study": "depth", "family": family, "size": 8.0}
            for metric, edge in METRICS.items():
                value = -back + edge * back / 2
                records.append(
                    record(
                        **where, seed=-1, metric=metric, position=position, value=value
                    )
                )
            for seed, noise in enumerate((-0.01, 0.0, 0.01)):
                value = -back + (off + noise) * (position == 0)
                records.append(
                    record(
                        **where,
                        seed=seed,
                        metric="log10_gradient_norm",
                        position=position,
                        value=value,
                    )
                )
    return records


def test_the_band_is_drawn_and_the_measured_line_judged_against_it(banded):
    section = section_of("depth", banded)
    figure = section.figures[0]
    (panel,) = figure.panels
    lines = {(line.family, line.role): line.points for line in panel.lines}
    first, *_, last = lines["plain", "theory"]
    assert first[1][:4] == (-2.0, -2.3, -1.8, 1)
    assert last[1].low == last[1].mean == last[1].high
    notes = " ".join(figure.notes)
    assert "Inside everywhere: plain, depth 8." in notes
    assert "residual, depth 8 (outside at 1 of 2)." in notes
    specification = figure.chart(panel, legend=True)
    alt.Chart.from_dict(specification, validate=True)
    bands = [
        (row["x"], row["low"], row["high"])
        for row in specification["datasets"]["rows"]
        if row["seeds"] == 1 and row["low"] < row["high"] and row["family"] == "plain"
    ]
    assert bands == [(0.0, -2.3, -1.8), (1.0, -1.15, -0.9)]
    assert section.table is not None
    column = section.table.head.index("Blocks inside theory's band")
    assert [row[column] for row in section.table.rows] == ["2 of 2", "1 of 2"]
    # The band moves neither line: the misfit is that of theory's own line.
    misfit = section.table.head.index("Misfit of theory (decades)")
    assert section.table.rows[0][misfit] == "0.14"


def test_without_a_band_there_is_no_note(banded):
    plain = [r for r in banded if "low" not in r.metric and "high" not in r.metric]
    section = section_of("depth", plain)
    assert not any("dotted" in note for note in section.figures[0].notes)
    assert section.table is not None
    assert "Blocks inside theory's band" not in section.table.head


def test_each_activation_has_a_panel_and_a_step_has_none():
    records = []
    for family, critical in (("tanh", 1.0), ("ReLU", 2.0)):
        for gain, chi in ((1.0, -0.2), (4.0, 0.9)):
            put = lambda seed, metric, position, value, f=family, g=gain: record(
                "saturation", f, g, seed, metric, position, value
            )
            records += [put(seed, "log_chi_1", None, chi) for seed in range(3)]
            records += [
                put(-1, "weight_variance", None, gain**2),
                put(-1, "bias_variance", None, 0.0),
                *(put(-1, "critical_weight_variance", n, critical) for n in range(2)),
                *(put(-1, "critical_bias_variance", n, float(n)) for n in range(2)),
            ]
    section = section_of("saturation", records)
    (phases,) = section.figures
    assert [panel.title for panel in phases.panels] == ["tanh", "ReLU"]
    assert "A step function has no such plane" in phases.plot.reading
    specification = phases.chart(phases.panels[1], legend=True)
    alt.Chart.from_dict(specification, validate=True)
    rows = specification["datasets"]["rows"]
    assert [row["x"] for row in rows if row["kind"] == "line"] == [2.0, 2.0]
    networks = {row["x"]: row["side"] for row in rows if row["kind"] == "network"}
    assert networks == {1.0: "vanishes", 16.0: "explodes"}


def test_misfit_is_the_root_mean_square_distance():
    point = lambda x, value: (x, Estimate(value, None, None, 1))
    measured = Line("plain", MEASURED, [point(x, x) for x in (0.0, 1.0, 2.0)])
    theory = make_line("plain", PREDICTED, {})
    assert misfit(measured, theory) is None
    shifted = Line("plain", PREDICTED, [point(x, x + 2.0) for x in (0.0, 2.0)])
    assert misfit(measured, shifted) == pytest.approx(2.0)
    uneven = Line("plain", PREDICTED, [point(0.0, 0.0), point(2.0, 5.0)])
    assert misfit(measured, uneven) == pytest.approx(math.sqrt(9 / 2))
