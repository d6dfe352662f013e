"""The page and the exported charts of a whole run."""

import base64
import gzip
import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from jaxnets.report import export_charts, write_report
from tests.report.summary import SUMMARY, VERDICTS
from tests.report.synthetic import CONFIG, arm, records_of, write_run


VOID = {"meta", "link", "br", "path", "input"}


class Reader(HTMLParser):
    """Collects text, tags and charts, and checks that tags are closed."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.charts = [], [], [], {}

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID - {"path"}:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tag, attrs = self.open[-1] if self.open else ("", {})
        if attrs.get("id") == "charts":
            unpacked = gzip.decompress(base64.b64decode(data))
            self.charts = json.loads(unpacked)["charts"]
        elif tag not in ("script", "style"):
            self.text.append(data)

    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert not reader.open
    return reader


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = write_report(write_run(tmp_path_factory.mktemp("run")))
    assert path.name == "report.html"
    return path


def test_a_whole_run(page):
    reader = read(page)
    words = reader.words()
    for verdict in VERDICTS:
        assert verdict["sentence"] in words
        assert verdict["remedy"] in words
        assert verdict.get("reason", "") in words
        assert verdict.get("other_cause", "") in words
    assert "measured −0.120 (interval −0.150 to −0.090) · threshold −0.1" in words
    assert "plain-56 was stopped: the time limit of 120 s was reached" in words
    assert "lstm-100 was not started." in words
    assert "jaxnets contrast --seeds 3" in words
    assert "All weights start from He's normal initialiser." in words
    assert "Mean of 3 seeds" in words
    for setting in CONFIG:
        assert setting in words
    assert len(reader.charts) > 20
    places = [attrs["data-chart"] for _, attrs in reader.tags if "data-chart" in attrs]
    assert sorted(places) == sorted(reader.charts)


def test_each_study_has_a_card_with_its_number_chart_and_action(page):
    cards = re.findall(r"<article.*?</article>", page.read_text(), re.DOTALL)
    texts = [re.sub(r"<[^>]*>", "", card) for card in cards]
    for text, found in zip(
        texts,
        [
            r"of the gradient reaches the first layer of a 32-layer network with "
            r"shortcut connections as without; trained, it tests at 97 % instead of 31",
            r"of 100 time steps in the trained RNN, 0\.\d+ in the GRU, 0\.\d+ in the "
            r"LSTM; solved by the GRU and the LSTM",
            r"40 % of the sigmoid units are saturated at gain 4; at gain 0.5 it is 5",
            r"0\.61 nats is the gap .* with no dropout, 0\.3 with dropout 0\.5",
        ],
        strict=True,
    ):
        assert re.search(found, text), text
    assert all(card.count('class="chart"') == 1 for card in cards)
    # The action is on what the sentence is about; sigmoid, gain 4, has no verdict.
    remedies = (VERDICTS[0], VERDICTS[4], VERDICTS[5], VERDICTS[6])
    for text, verdict in zip(texts, remedies, strict=True):
        assert text.endswith(f"What to do: {verdict['remedy']}")


def test_a_single_study_is_not_drawn_twice(tmp_path):
    run = write_run(tmp_path, records_of(["saturation"]), config=None)
    reader = read(write_report(run))
    assert "of the sigmoid units are saturated" in reader.words()
    assert reader.charts and not any("first-look" in name for name in reader.charts)


def test_the_worst_verdicts_come_first(tmp_path):
    kinds = ["healthy", "contrast", "vanishing"]
    old = [{**VERDICTS[0], "kind": kind, "sentence": kind} for kind in kinds]
    new = {**VERDICTS[0], "kind": "dead", "severity": "fault", "cause": "Too cold."}
    summary = {"verdicts": [*old, new]}
    text = write_report(write_run(tmp_path, summary=summary)).read_text()
    found = re.findall(r'<details class="verdict (\w+)"( open)?', text)
    assert [severity for severity, _ in found] == ["fault", "warning", "note", "well"]
    assert [bool(unfolded) for _, unfolded in found] == [True, False, False, False]
    assert "<strong>Cause: </strong>Too cold." in text


def test_words_of_the_glossary_are_explained_where_they_stand(page):
    tags = read(page).tags
    identifiers = {attrs["id"] for _, attrs in tags if "id" in attrs}
    words = [attrs for tag, attrs in tags if tag == "dfn"]
    assert len(words) > 5
    assert all(word["aria-describedby"] in identifiers for word in words)
    assert all(word["data-meaning"] and word["tabindex"] == "0" for word in words)


def test_only_intervals_get_a_line_of_their_own(tmp_path, page):
    assert "<td>0 of 3 seeds</td>" in page.read_text()
    assert re.search(
        r"<td>−0\.\d+ <small>\(−0\.\d+ to −0\.\d+\)</small></td>", page.read_text()
    )
    summary = {"environment": {"device": "Accelerator 2 (one of two)"}}
    path = write_report(write_run(tmp_path, [], summary))
    assert "<td>Accelerator 2 (one of two)</td>" in path.read_text()


def test_the_page_is_accessible(page):
    tags = read(page).tags
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    charts = [attrs for _, attrs in tags if attrs.get("class") == "chart"]
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in charts)
    names = [tag for tag, _ in tags]
    assert names.count("table") == names.count("caption") > 5
    assert ("html", {"lang": "en"}) in tags
    identifiers = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))
    links = [attrs["href"] for tag, attrs in tags if tag == "a"]
    assert {link.removeprefix("#") for link in links} <= set(identifiers)


def test_the_page_asks_the_network_for_nothing_and_is_small(page):
    tags = read(page).tags
    for _, attrs in tags:
        assert "src" not in attrs
        assert attrs.get("href", "#").startswith(("#", "data:"))
    assert page.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    "seeds, words", [(1, "1 seed"), (4, "4 seeds"), ([0, 1, 2], "3 seeds")]
)
def test_the_head_says_how_many_seeds(tmp_path, seeds, words):
    path = write_report(write_run(tmp_path, [], config={"seeds": seeds}))
    assert re.search(rf"\b{words}\b(?!s)", read(path).words())


def test_one_study_with_others_asked_for(tmp_path):
    path = write_report(write_run(tmp_path, records_of(["saturation"])))
    words = read(path).words()
    assert words.count("no records of this study") == 3
    alone = write_run(tmp_path, records_of(["saturation"]), config=None)
    words = read(write_report(alone)).words()
    assert "no records of this study" not in words
    assert "This run has no config.json" in words


def test_a_missing_summary_is_mentioned(tmp_path):
    path = write_report(write_run(tmp_path, records_of(["overfitting"]), summary=None))
    words = read(path).words()
    assert "This run has no summary.json" in words
    assert "This run has no verdicts" in words


def test_no_records_and_empty_records(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    words = read(write_report(tmp_path)).words()
    assert "no records.csv, so there is nothing to draw" in words
    words = read(write_report(write_run(tmp_path, []))).words()
    assert "records.csv is empty" in words
    assert export_charts(tmp_path) == []


def test_values_that_are_not_finite_do_not_reach_the_charts(tmp_path):
    records = [
        r._replace(value=(math.nan, math.inf, -math.inf)[i % 3]) if i % 7 == 0 else r
        for i, r in enumerate(records_of())
    ]
    summary = {**SUMMARY, "verdicts": [{**VERDICTS[0], "number": math.nan}]}
    reader = read(write_report(write_run(tmp_path, records, summary)))
    assert "are left out" in reader.words()
    assert "measured not a number" in reader.words()
    found = [
        row[key]
        for chart in reader.charts.values()
        for row in chart["datasets"]["rows"]
        for key in ("mean", "low", "high")
    ]
    # Rows of explorers and heat maps hold lists, with None for an empty cell.
    numbers = [n for f in found for n in (f if isinstance(f, list) else [f])]
    numbers = [number for number in numbers if number is not None]
    assert numbers and all(math.isfinite(value) for value in numbers)


HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(2)>'


def test_hostile_names_stay_text(tmp_path):
    rows = [(step, "validation_loss", None, 1.0 / (1 + step)) for step in range(4)]
    records = [
        r._replace(arm=HOSTILE, family=HOSTILE) for r in arm("depth", "x", 8.0, 0, rows)
    ]
    arms = [{"study": "depth", "arm": HOSTILE, "status": HOSTILE, "message": HOSTILE}]
    summary = {
        "verdicts": [dict.fromkeys(VERDICTS[0], HOSTILE)],
        "arms": arms,
        "environment": {HOSTILE: HOSTILE},
        "command": HOSTILE,
        "initialisers": {"depth": HOSTILE},
        "notes": {"depth": [HOSTILE]},
    }
    config = {"seeds": HOSTILE, "scale": HOSTILE, HOSTILE: {HOSTILE: HOSTILE}}
    path = write_report(write_run(tmp_path, records, summary, config))
    reader = read(path)
    assert HOSTILE in reader.words()
    assert "img" not in [tag for tag, _ in reader.tags]
    assert path.read_text().count("<script") == 3
    assert len(export_charts(tmp_path, "svg")) == 1


@pytest.mark.parametrize(
    "summary",
    [
        {"verdicts": None, "arms": 3, "environment": [], "notes": {"depth": "One."}},
        {"verdicts": [{}, "x", {"number": None}], "arms": [{}]},
        {"seconds": None, "initialisers": None},
    ],
)
def test_summaries_with_holes_still_draw(tmp_path, summary):
    records = records_of(["overfitting"], seeds=1)
    assert read(write_report(write_run(tmp_path, records, summary))).charts


def test_arms_that_would_be_averaged_are_named(tmp_path):
    records = records_of(["overfitting"], seeds=1)
    records += [r._replace(arm="twin") for r in records if r.size == 0]
    words = read(write_report(write_run(tmp_path, records))).words()
    assert "the arms no-dropout-0, twin share one family and size" in words


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"`run` is .*nowhere, which is not a folder"):
        write_report(tmp_path / "nowhere")
    write_run(tmp_path, [])
    (tmp_path / "summary.json").write_text('{"verdicts": [')
    with pytest.raises(ValueError, match=r"summary.json is not JSON .* cut off"):
        write_report(tmp_path)
    (tmp_path / "summary.json").write_text("[]")
    with pytest.raises(ValueError, match="holds a list; wanted an object"):
        write_report(tmp_path)


@pytest.mark.parametrize("format, start", [("svg", b"<svg"), ("png", b"\x89PNG")])
def test_every_chart_is_exported(tmp_path, format, start):
    run = write_run(tmp_path, records_of(["overfitting"], seeds=2))
    paths = export_charts(run, format)
    charts = read(write_report(run)).charts
    drawn = [name for name in charts if not name.endswith("first-look")]
    assert len(paths) == len(set(paths)) == len(drawn) == 3
    assert paths[0].name == f"overfitting-losses.{format}"
    assert all(path.parent == tmp_path / "charts" for path in paths)
    assert all(path.read_bytes().startswith(start) for path in paths)


def test_an_exported_chart_has_its_title_and_legend(tmp_path):
    records = [r for r in records_of(["time"], seeds=2) if r.size == 50 and r.step == 0]
    paths = export_charts(write_run(tmp_path, records), "svg")
    assert paths[0].name == "time-gradient-by-time-step-before-length-50.svg"
    svg = paths[0].read_text()
    for text in ("Gradient by time step, before training, length 50", "LSTM", "theory"):
        assert text in svg


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match='`format` is \'pdf\'; wanted "png" or "svg"'):
        export_charts(tmp_path, "pdf")
