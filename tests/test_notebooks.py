"""Every notebook runs, says nothing on stderr, and has the outputs of its code."""

import dataclasses
import importlib.util
import itertools
import json
import pathlib
import re

import nbformat
import pytest

from benchmarks.faults import CASES
from jaxnets.gradflow import Verdict
from jaxnets.runs.records import Record
from tests.bench.test_measurement import RECORD
from tests.report.synthetic import write_run


ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
every_notebook = pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem
)


def load(name):
    """A module of the folder of the notebooks, which is no package."""
    path = FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kinds(notebook):
    """What each code cell puts out: the kinds of its outputs.

    Neighbours of one kind count once: whether a kernel sends what is printed in one
    message or in two depends on how busy the machine is.
    """
    return [
        [
            kind
            for kind, _ in itertools.groupby(
                cell.outputs, lambda output: output.output_type
            )
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_there_are_notebooks():
    assert list(FOLDER.glob("*.ipynb"))


def test_printed_lines_may_come_in_several_messages():
    cell = nbformat.v4.new_code_cell()
    cell.outputs = [nbformat.v4.new_output("stream", text=text) for text in "ab"]
    assert kinds(nbformat.v4.new_notebook(cells=[cell])) == [["stream"]]


@every_notebook
def test_the_outputs_are_those_of_the_code(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    stored = notebook.metadata.get("jaxnets", {}).get("sources_sha256")
    assert stored == load("execute").sources_hash(notebook), (
        f"The code of {path.name} has changed since its outputs were stored: "
        f"`uv run notebooks/execute.py {path.stem}`."
    )
    assert any(kinds(notebook))
    assert path.stat().st_size < 1e6


@every_notebook
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    # No setting of the person who runs the tests, and no history left with them.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    # As the suite compiles: only the kinds of outputs are compared.
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    executed = load("execute").execute(path, tmp_path)
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", f"{cell.source}\n{output.text}"
    assert kinds(executed) == kinds(nbformat.read(path, as_version=4))


def test_each_kind_of_verdict_has_its_page():
    folder = FOLDER / "verdicts"
    documented = re.search(r"kind: (.*?)\.\n", Verdict.__doc__ or "", re.DOTALL)
    assert documented
    kinds = set(re.findall(r"`([a-z-]+)`", documented[1]))
    code = [path.read_text() for path in (ROOT / "jaxnets/gradflow").rglob("*.py")]
    emitted = set(re.findall(r'(?:\bkind=|verdict_on\(\s*)"([a-z-]+)"', "".join(code)))
    assert {"detached", "wrong-loss"} <= emitted <= kinds
    pages = {path.stem for path in folder.glob("*.md")} - {"index", "comparisons"}
    comparisons = (folder / "comparisons.md").read_text()
    assert pages | set(re.findall(r"^## ([a-z-]+)$", comparisons, re.M)) == kinds
    index = (folder / "index.md").read_text()
    linked = re.findall(r"^\| \[`([a-z-]+)`\]\(\1\)", index, re.M)
    assert sorted(linked) == sorted(pages)
    for kind in pages:
        page = (folder / f"{kind}.md").read_text()
        assert page.count(f'picture("{kind}")') == 1, kind
        assert "**Source:**" in page


def test_a_benchmark_that_is_kept_becomes_a_table(tmp_path):
    keep, kept = load("evidence/keep"), load("evidence/kept")
    run = tmp_path / "run.json"
    facts = RECORD.environment | {"host": "mine"}
    run.write_text(json.dumps(dataclasses.asdict(RECORD) | {"environment": facts}))
    with pytest.raises(ValueError, match="names no command"):
        keep.keep_benchmark(run, "ops", tmp_path)
    facts |= {"command": "jaxnets bench ops", "date": "2026-11-30T10:00+00:00"}
    facts |= {"cores": 2, "processor": "an EPYC"}
    run.write_text(json.dumps(dataclasses.asdict(RECORD) | {"environment": facts}))
    file = keep.keep_benchmark(run, "ops", tmp_path)
    assert "mine" not in file.read_text()
    page = kept.benchmarks(file.parent).data
    assert "`uv run jaxnets bench ops`, 2026-11-30, 2 cores of an EPYC" in page
    assert "| conv | forward | flax | 1.00 | 2 | 1 | 0.25 slow |" in page
    assert "4.00 (1.00-4.00)" in page
    # The kept runs of chips are on the page too, each with what it does not say.
    chips = list((FOLDER / "evidence/bench").glob("compiled-*.json"))
    assert len(chips) >= 2
    page = kept.compiled_for_chips().data
    assert page.count("not run: nothing here was timed") == len(chips)
    assert "not run" not in kept.benchmarks().data


def test_how_the_arms_of_a_kept_run_ended_becomes_a_table(tmp_path):
    keep, kept = load("evidence/keep"), load("evidence/kept")
    row = lambda study, metric, seed, step, value: Record(
        study, f"{study}-20", "plain", 20.0, seed, step, metric, "", None, value
    )
    records = [
        row("time", "lyapunov_exponent", 0, 10, 0.2),
        *(row("time", "lyapunov_exponent", seed, 20, 0.9) for seed in range(2)),
        *(row("time", "test_loss", seed, 20, 1.5) for seed in range(2)),
        *(row("time", "solved", seed, 20, float(seed)) for seed in range(2)),
        *(row("depth", "train_accuracy", seed, 20, 1.0) for seed in range(2)),
        *(row("depth", "test_accuracy", seed, 20, 0.9) for seed in range(2)),
    ]
    summary = {"command": "jaxnets contrast", "started": "", "seconds": 1.0}
    run = write_run(tmp_path, records, summary | {"environment": {}})
    found = json.loads(keep.keep(run, "some", tmp_path).read_text())
    ended = kept.endings(found, "time").data.splitlines()[2:]
    means = "1.5 (no spread) | 1 of 2 | 0.9 (no spread)"
    assert ended == [f"| time-20 | {means} | – |"]
    right = kept.accuracies(found, "depth").data.splitlines()[2:]
    assert right == ["| depth-20 | 100.0 % (no spread) | 90.0 % (no spread) |"]


def test_what_is_said_of_faults_becomes_tables(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER / "evidence")
    diagnoses = load("evidence/diagnoses")
    networks = diagnoses.read("faults")["networks"]
    assert {each["name"] for each in networks} == set(CASES)
    faults = sum(bool(case.kinds) for case in CASES.values())
    said = diagnoses.diagnosed().data
    assert f"of {faults} faults" in said and f"of {len(CASES) - faults} healthy" in said


def test_a_place_counts_where_both_networks_have_one(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER / "evidence")
    diagnoses = load("evidence/diagnoses")
    names = "shrinks", "rate", "plain"
    ours = [
        {"name": name, "right": True, "has_place": True, "said": said}
        for name, said in zip(
            names, ("fault vanishing", "", "warning dead"), strict=True
        )
    ]
    theirs = [
        {"name": name, "is_fault": name != "plain", "found": name == "rate"}
        | {"place": False, "has_place": name == "shrinks", "severities": levels}
        for name, levels in zip(names, ([], ["WARNING"], ["CRITICAL"]), strict=True)
    ]
    run = {"command": "python twins.py", "date": "2026-12-01", "environment": {}}
    records = {"faults": run | {"networks": ours}}
    records["torchmortem"] = run | {"networks": theirs}
    monkeypatch.setattr(diagnoses, "read", records.get)
    lines = diagnoses.twins().data.splitlines()[2:7]
    assert lines == [
        "| shrinks | place | missed |",
        "| rate | found | found |",
        "| **faults found, of 2** | **2** | **1** |",
        "| healthy networks with a fault, or a CRITICAL finding, of 1 | 0 | 1 |",
        "| healthy networks with a warning or worse, of 1 | 1 | 1 |",
    ]
