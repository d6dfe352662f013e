"""The study `theory` as the page shows it: every claim with its prediction."""

import json

import altair as alt
import pytest

from jaxnets.records import Record
from jaxnets.report.theory import CLAIMS, theory_section


def record(arm, size, seed, value, family="net"):
    metric = "predicted_claim" if seed < 0 else "claim"
    return Record("theory", arm, family, size, seed, 0, metric, "", None, value)


@pytest.fixture
def records():
    """Measured 2 x and 2 x + 0.2, so 2 x + 0.1 on average; predicted 2 x."""
    return [
        *(
            record(arm, x, seed, 2 * x + max(0, 0.2 * seed))
            for arm in CLAIMS
            for x in (0.5, 1.0, 2.0)
            for seed in (-1, 0, 1)
        ),
        *place("net", 0.5, 0.25, 0.1),
        *place("critical line", 0.0, 1.0, 0.0),
        *place("critical line", 0.2, 2.2, 0.2),
    ]


def place(family, size, weight_variance, bias_variance):
    """Where a network of claim 2, or a point of the critical line, stands."""
    variances = {"weight_variance": weight_variance, "bias_variance": bias_variance}
    return [
        record("chi", size, -1, value, family)._replace(metric=metric)
        for metric, value in variances.items()
    ]


def test_the_phase_diagram_shows_networks_beside_the_critical_line(records):
    phases = theory_section(records).figures[-1]
    assert phases.plot.name == "phase-diagram"
    (panel,) = phases.panels
    assert "1.1 at (0.25, 0.1)" in panel.description
    specification = phases.chart(panel, legend=True)
    alt.Chart.from_dict(specification, validate=True)
    rows = specification["datasets"]["rows"]
    line = [(row["x"], row["y"]) for row in rows if row["kind"] == "line"]
    assert line == [(1.0, 0.0), (2.2, 0.2)]
    (network,) = [row for row in rows if row["kind"] == "network"]
    assert (network["x"], network["y"], network["side"]) == (0.25, 0.1, "explodes")


def test_each_claim_has_a_figure_of_measurement_and_prediction(records):
    section = theory_section(records)
    assert not section.absent
    figures = section.figures[: len(CLAIMS)]
    assert [f.plot.name for f in figures] == [
        claim.plot.name for claim in CLAIMS.values()
    ]
    for figure in figures:
        (panel,) = figure.panels
        assert sorted(line.role for line in panel.lines) == ["measured", "theory"]
        means = {line.role: [e.mean for _, e in line.points] for line in panel.lines}
        assert means["theory"] == [1.0, 2.0, 4.0]
        assert means["measured"] == pytest.approx([1.1, 2.1, 4.1])
        specification = figure.chart(panel, legend=True)
        alt.Chart.from_dict(specification, validate=True)
        assert "NaN" not in json.dumps(specification)


def test_ticks_that_are_no_whole_numbers_are_written_as_they_are(records):
    section = theory_section(records)
    (figure,) = [f for f in section.figures if f.plot.name == "rnn-slope"]
    axis = figure.chart(figure.panels[0], legend=True)["layer"][0]["encoding"]["x"]
    assert axis["axis"]["values"] == [0.5, 1.0, 2.0]
    assert axis["axis"]["format"] == ".3~g"


def test_the_table_says_what_was_predicted_measured_and_missed(records):
    table = theory_section(records).table
    assert table is not None
    assert len(table.rows) == 9
    title, family, source, *figures = table.rows[1]
    assert title.startswith("2. ") and family == "net"
    assert source == "Schoenholz et al. 2017"
    assert figures == ["2", "4", "4.10 (4.00 to 4.20)", "0.1"]


def test_claims_without_records_are_named_as_absent(records):
    section = theory_section([r for r in records if r.arm != "path"])
    assert section.absent == [CLAIMS["path"].plot.title]
    empty = theory_section([])
    assert empty.figures == [] and empty.table is None
