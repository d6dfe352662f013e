"""The section of a network of the user's own."""

import math
from typing import Any

import pytest

from jaxnets.report import export_charts, write_report
from jaxnets.report.charts.dot_plot import DotPlot
from jaxnets.runs.records import Record
from tests.report.synthetic import section_of


LAYERS = [f"layers/{layer}" for layer in range(12)]


def network(name, slope, steps=(0,), seeds=2):
    def record(metric, place, position, value):
        return Record(
            "model", name, name, 12.0, seed, step, metric, place, position, value
        )

    for seed in range(seeds):
        for step in steps:
            yield record("loss", "", None, 2.3 - 0.01 * step)
            for place, layer in zip(LAYERS, range(12), strict=True):
                back = 11 - layer
                yield record(
                    "log10_gradient_norm", place, layer, slope * back + 0.01 * seed
                )
                yield record("zero_share", place, layer, 0.5)
                for part, value in (("bias", -math.inf), ("kernel", 0.5)):
                    path = f"{place}/{part}"
                    yield record("log10_array_weight_norm", path, None, value)
                    yield record("log10_array_gradient_norm", path, None, slope * back)
            for time in range(30):
                for state in ("sigmoid", "c", "h"):
                    place = f"rnn/cell/{state}"
                    yield record("log10_gradient_norm", place, time, -0.1 * (30 - time))
        for position, place in enumerate(LAYERS[2:5]):
            yield record("chain", place, position, 0.0)


def figures(records) -> dict[str, Any]:
    return {f.plot.name: f for f in section_of("model", list(records)).figures}


def test_layers_arrays_states_and_the_loss_are_drawn_under_their_names():
    found = figures(network("mine", -0.2, steps=(0, 5, 9)))
    assert list(found) == [
        "gradient-over-time",
        "arrays",
        "gradient-by-layer",
        "loss",
        "shares",
    ]
    assert [panel.title for panel in found["gradient-over-time"].panels] == [
        "rnn/cell/c",
        "rnn/cell/h",
    ]
    layers = found["gradient-by-layer"]
    assert isinstance(layers, DotPlot)
    assert layers.roles() == ["before training", "after 9 updates"]
    [panel] = layers.panels
    rows = layers.rows[panel.description]
    assert list(dict.fromkeys(row["name"] for row in rows)) == LAYERS[2:5]
    assert rows[0]["mean"] == pytest.approx(-0.2 * 9 + 0.005)
    [panel] = found["arrays"].panels
    names = list(
        dict.fromkeys(row["name"] for row in found["arrays"].rows[panel.description])
    )
    assert (
        names[:2] == ["layers/0/bias", "layers/0/kernel"]
        and names[-1] == "layers/11/kernel"
    )
    # A bias that starts at zero is not worth a note.
    assert not any("zero" in note for note in found["arrays"].notes)


def test_an_array_without_gradient_is_named_below_the_chart():
    records = [
        r._replace(value=-math.inf)
        if r.metric == "log10_array_gradient_norm" and r.place == "layers/3/kernel"
        else r
        for r in network("mine", -0.2)
    ]
    notes = " ".join(figures(records)["arrays"].notes)
    assert "not drawn: gradient, layers/3/kernel." in notes


def test_two_models_are_drawn_in_one_chart_and_judged(tmp_path):
    records = [*network("plain", -0.5), *network("residual", 0.0)]
    layers = figures(records)["gradient-by-layer"]
    assert [name for _, name in layers.drawn()] == ["plain", "residual"]
    folder = tmp_path / "run"
    page = write_report(records, folder)
    text = page.read_text()
    card = text.partition('class="headline"')[2].partition("</p>")[0]
    assert ">Vanishing<" in card and "<small>note: plain, rnn/cell/c, before" in card
    assert page.stat().st_size < 1_000_000
    names = [path.name for path in export_charts(folder, "svg")]
    assert "model-gradient-by-layer.svg" in names
    with pytest.raises(FileExistsError):
        write_report(records, folder)


def test_two_models_with_other_layers_are_drawn_side_by_side():
    deep, shallow = list(network("deep", -0.5)), list(network("shallow", 0.0))
    shallow = [r for r in shallow if r.place not in LAYERS[4:]]
    shallow = [
        r._replace(value=0.0) if r.metric == "zero_share" else r for r in shallow
    ]
    found = figures([*deep, *shallow])
    layers = found["gradient-by-layer"]
    assert [panel.title for panel in layers.panels] == ["deep", "shallow"]
    names = [[row["name"] for row in layers.rows[p.description]] for p in layers.panels]
    assert names == [LAYERS[2:5], LAYERS[2:4]]
    # Shares of zero are no news.
    assert [panel.title for panel in found["shares"].panels] == ["deep, zero"]


def test_a_folder_is_wanted_for_records():
    with pytest.raises(TypeError, match="wanted the folder to write records to"):
        write_report(list(network("mine", 0.0)))


def test_deep_networks_are_thinned():
    records = [
        Record(
            "model", "deep", "deep", 1.0, 0, 0, "log10_gradient_norm", f"l{n}", n, 0.0
        )
        for n in range(200)
    ]
    layers = figures(records)["gradient-by-layer"]
    rows = layers.rows[layers.panels[0].description]
    assert len(rows) <= 41 and {rows[0]["name"], rows[-1]["name"]} == {"l0", "l199"}
    assert "rows between those shown are left out" in " ".join(layers.notes)
