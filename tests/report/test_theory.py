"""The section of the study `theory`: each claim with its prediction."""

import json
import re

import altair as alt
import pytest

from jaxnets.report import write_report
from jaxnets.runs.claims import CLAIMS
from jaxnets.runs.records import Record
from tests.report.synthetic import section_of, write_run


def record(arm, size, seed, value, family="net"):
    metric = "predicted_claim" if seed < 0 else "claim"
    return Record("theory", arm, family, size, seed, 0, metric, "", None, value)


@pytest.fixture
def records():
    """Measured: 2 x and 2 x + 0.2, with the mean 2 x + 0.1. Predicted: 2 x."""
    line = [
        ("critical_weight_variance", (1.0, 2.2)),
        ("critical_bias_variance", (0.0, 0.2)),
    ]
    return [
        *(
            record(arm, x, seed, 2 * x + max(0, 0.2 * seed))
            for arm in CLAIMS
            for x in (0.5, 1.0, 2.0)
            for seed in (-1, 0, 1)
        ),
        *(
            record("width", x, -1, 2 * x + 0.15)._replace(metric="refined_claim")
            for x in (0.5, 1.0, 2.0)
        ),
        record("chi", 0.5, -1, 0.25)._replace(metric="weight_variance"),
        record("chi", 0.5, -1, 0.1)._replace(metric="bias_variance"),
        *(
            record("chi", 2.0, -1, value, "chi_1")._replace(metric=name, position=n)
            for name, values in line
            for n, value in enumerate(values)
        ),
    ]


VERDICTS = [
    {
        "claim": "path",
        "number": 5,
        "statement": "Gradients take short paths.",
        "holds": "in part",
        "sentence": "Holds in part: met at 2 of 3 points.",
        "lines": [{"line": "net", "met": 2, "points": 3}],
    }
]


def test_the_phase_diagram_shows_networks_beside_the_critical_line(records):
    phases = section_of("theory", records).figures[-1]
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


def test_without_its_line_there_is_no_phase_diagram(records):
    without = [r for r in records if not r.metric.startswith("critical")]
    section = section_of("theory", without)
    assert section.absent == ["Order and chaos: tanh networks beside the critical line"]


def test_each_figure_says_whether_its_claim_holds(records):
    section = section_of("theory", records, VERDICTS)
    found = {f.plot.name: getattr(f, "finding", None) for f in section.figures}
    assert found["effective-path-length"] == "Holds in part: met at 2 of 3 points."
    assert found["rnn-slope"] == ""
    assert section.table is not None
    rows = {row[0]: row for row in section.table.rows}
    assert rows["5. Path length"][3] == "2 of 3"
    assert rows["9. Finite width"][6] == "4.15", "the refined prediction"


def test_each_claim_has_a_figure_of_measurement_and_prediction(records):
    section = section_of("theory", records)
    assert not section.absent
    figures = section.figures[: len(CLAIMS)]
    assert [f.plot.name for f in figures] == [claim.figure for claim in CLAIMS.values()]
    for figure in figures:
        (panel,) = figure.panels
        roles = [line.role for line in panel.lines]
        refined = ["theory, refined"] * (figure.plot.name == "finite-width")
        assert roles == ["measured", "theory", *refined]
        means = {line.role: [e.mean for _, e in line.points] for line in panel.lines}
        assert means["theory"] == [1.0, 2.0, 4.0]
        assert means["measured"] == pytest.approx([1.1, 2.1, 4.1])
        specification = figure.chart(panel, legend=True)
        alt.Chart.from_dict(specification, validate=True)
        assert "NaN" not in json.dumps(specification)


def test_fractional_ticks_keep_their_decimals(records):
    section = section_of("theory", records)
    (figure,) = [f for f in section.figures if f.plot.name == "rnn-slope"]
    axis = figure.chart(figure.panels[0], legend=True)["layer"][0]["encoding"]["x"]
    assert axis["axis"]["values"] == [0.5, 1.0, 2.0]
    assert axis["axis"]["format"] == ".3~g"


def test_the_table_says_what_was_predicted_measured_and_missed(records):
    table = section_of("theory", records).table
    assert table is not None
    assert len(table.rows) == len(CLAIMS)
    title, family, source, *figures = table.rows[1]
    assert title == "2. chi_1" and family == "net"
    assert source == "Schoenholz et al. 2017"
    assert figures == ["–", "2", "4", "–", "4.1 (2.8 to 5.4)", "0.1"]


def test_claims_without_records_are_named_as_absent(records):
    section = section_of("theory", [r for r in records if r.arm != "path"])
    assert section.absent == ["5. " + CLAIMS["path"].title]
    empty = section_of("theory", [])
    assert empty.figures == [] and empty.table is None


def test_the_page_counts_and_lists_the_claims(tmp_path, records):
    summary, config = {"claims": VERDICTS}, {"studies": ["theory"]}
    text = write_report(write_run(tmp_path, records, summary, config)).read_text()
    assert "<strong>0 of 1</strong> claims of the literature hold" in text
    (listed,) = re.findall(r'<details class="verdict (\w+)">(.*?)</details>', text)
    assert listed[0] == "warning"
    for words in ("5. Path length", "holds in part", *VERDICTS[0]["statement"].split()):
        assert words in listed[1]
