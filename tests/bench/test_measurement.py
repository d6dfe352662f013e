"""Ratios, their means, the record and the tables, on invented samples."""

import dataclasses
import json
import math

import pytest

from jaxnets.bench import tables
from jaxnets.bench.cases import Program
from jaxnets.bench.measurement import Measurement, ratio_of, summaries
from jaxnets.bench.record import BenchmarkRecord, read_record
from jaxnets.bench.timing import JaxProgram


def measured(name, group="conv", direction="forward", plan="", **seconds):
    return Measurement(
        name=name,
        group=group,
        direction=direction,
        plan=plan,
        spec={"function": "conv", "spatial": [8, 8]},
        seconds=seconds,
        calls=dict.fromkeys(seconds, 3),
        compile_seconds={"ours": 0.5},
    )


FAST = measured("fast", plan="shifts", ours=[1.0, 2.0, 4.0], flax=[4.0, 8.0, 4.0])
SLOW = measured("slow", ours=[1.0, 1.0, 1.0], flax=[0.2, 0.25, 0.5], torch=[0.94] * 3)
POOL = measured("pool", group="max_pool", ours=[2.0], flax=[4.0], outside=[1.0])
SHORT = dataclasses.replace(FAST, temp_bytes={"ours": 1_000_000})
LONG = dataclasses.replace(
    measured("long", group="checkpoint", ours=[3.0], stored=[2.0]),
    temp_bytes={"ours": 2_500_000, "stored": 50_000_000},
)


def test_a_ratio_is_formed_round_by_round():
    # The ratios are 4, 4 and 1. The ratio of the medians would be 2.
    assert FAST.ratio("flax") == (4.0, 1.0, 4.0)
    assert FAST.ours == 2.0


def test_a_contender_that_stopped_early_is_compared_in_its_rounds():
    assert ratio_of([6.0], [2.0, 1.0, 1.0]) == (3.0, 3.0, 3.0)


def test_who_did_not_run_has_no_ratio():
    assert FAST.ratio("torch") is None and FAST.over("outside") is None
    assert POOL.over("outside") == (2.0, 2.0, 2.0)


def test_summaries_are_geometric_means_by_group_and_of_all():
    found = summaries([FAST, SLOW, POOL], ["flax", "torch"])
    by_group = {(s.group, s.peer): s for s in found}
    assert set(by_group) == {
        ("conv", "flax"),
        ("conv", "torch"),
        ("max_pool", "flax"),
        ("all", "flax"),
        ("all", "torch"),
    }
    conv = by_group["conv", "flax"]
    assert conv.mean == pytest.approx(math.sqrt(4 * 0.25))
    assert (conv.count, conv.slower) == (2, 1)
    assert (conv.worst, conv.worst_ratio) == ("slow", 0.25)
    assert by_group["all", "flax"].mean == pytest.approx((4 * 0.25 * 2) ** (1 / 3))
    torch = by_group["all", "torch"]
    assert (torch.count, torch.slower, torch.mean) == (1, 1, pytest.approx(0.94))


def test_directions_are_summarised_apart():
    found = summaries(
        [FAST, dataclasses.replace(SLOW, direction="gradients")], ["flax"]
    )
    assert [(s.direction, s.worst) for s in found] == [
        ("forward", "fast"),
        ("gradients", "slow"),
    ]


RECORD = BenchmarkRecord(
    "ops",
    {"peers": ["flax", "torch"], "rounds": 3, "sample_seconds": 0.02},
    {"jax": "1.2.3", "revision": None, "load": 0.5},
    [FAST, SLOW, POOL],
)


def test_the_record_comes_back_from_json():
    text = json.dumps(dataclasses.asdict(RECORD))
    assert read_record(text) == RECORD


def cells_of(measurement, peers, variants):
    titles = tables.header(peers, variants)
    return dict(zip(titles, tables.cells(measurement, peers, variants), strict=True))


def test_tables_show_ratio_range_and_plan():
    assert cells_of(FAST, ["flax", "torch"], ["outside"]) == {
        "row": "fast",
        "pass": "forward",
        "plan": "shifts",
        "compile": "0.50 s",
        "ours": "2e+03 ms",
        "flax / ours": "4.00 (1.00-4.00)",
        "torch / ours": "-",
        "in scan / outside": "-",
    }


def test_tables_show_what_a_checkpoint_costs_and_saves():
    cells = cells_of(LONG, [], ["stored"])
    assert cells["checkpoint / stored"] == "1.50 (1.50-1.50)"
    assert cells["temp"] == "2.5 MB (0.050 of stored)"
    others = [cells_of(m, [], ["stored"])["temp"] for m in (FAST, SHORT)]
    assert others == ["-", "1.0 MB"]


def test_summaries_name_every_pass():
    directions = ("forward", "gradients", "step", "epoch")
    several = [dataclasses.replace(POOL, direction=d) for d in directions]
    named = {tables.summary_cells(s)[1] for s in summaries(several, ["flax"])}
    assert named == {"forward", "+ gradients", "step", "epoch"}


def test_the_markdown_page_has_facts_summary_and_rows():
    page = tables.markdown_page(RECORD)
    assert "jax: 1.2.3, load: 0.5." in page and "revision" not in page
    assert "| conv | forward | flax | 1.00 | 2 | 1 | 0.25 slow |" in page
    assert "| pool | forward | - | 0.50 s | 2e+03 ms | 2.00 (2.00-2.00) | - |" in page
    table = [line for line in page.splitlines() if line.startswith("| row")]
    assert table[0].count("|") == 9


def test_the_arguments_are_there_before_a_program_is_compiled():
    happened = []

    class Late:
        def block_until_ready(self):
            happened.append("arguments")

    call = lambda argument: happened.append("call")
    JaxProgram(Program(call, (Late(),), compiled=True))
    assert happened == ["arguments", "call"]
