"""A run as a whole: its files, its resumption, and arms that fail."""

import dataclasses
import importlib
import io
import json

import pytest
from rich.console import Console

from jaxnets.report import write_report
from jaxnets.runs.catalogue import DEFAULT_STUDIES as TRAINED
from jaxnets.runs.records import read_records, write_records
from jaxnets.studies import ContrastConfig, RunFolder, contrast, overfitting
from jaxnets.studies import depth as depth_study
from jaxnets.studies.arm import recorded_steps


# The studies that run only if they are named, except that of theory.
BY_NAME = ("rate", "extreme", "architecture")


def run(folder, *studies, seeds=(0, 1), resume=False):
    config = ContrastConfig(studies, "smoke", seeds, "digits")
    console = Console(file=io.StringIO(), width=100)
    return contrast(config, folder, resume=resume, command="test", console=console)


# Of each study the arms that between them record all its metrics: each is compiled.
ARMS = {
    "depth": ("plain-6", "residual-6"),
    "time": ("lstm-12",),
    "saturation": ("relu-1",),
    "overfitting": ("dropout-0.5",),
    "rate": ("plain-2", "plain-4"),
    "extreme": ("critical-12", "critical-6-trained"),
    "architecture": ("dense-images",),
}


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        for name, names in ARMS.items():
            study = importlib.import_module(f"jaxnets.studies.{name}")
            some = lambda *of, arms=study.arms, names=names: [
                arm for arm in arms(*of) if arm.name in names
            ]
            patch.setattr(study, "arms", some)
        return run(folder, *TRAINED, *BY_NAME)


def test_a_smoke_run_measures_what_each_study_promises(whole_run):
    records = read_records(whole_run.path / "records.csv")
    metrics = {study: set() for study in (*TRAINED, *BY_NAME)}
    for record in records:
        metrics[record.study].add(record.metric)
    losses = {"train_loss", "validation_loss", "test_loss"}
    curves = losses | {"train_accuracy", "validation_accuracy", "test_accuracy"}
    flow = {"log10_gradient_norm", "predicted_log10_gradient_norm"}
    band = {f"predicted_{end}_log10_gradient_norm" for end in ("low", "high")}
    assert metrics["depth"] == curves | flow | band | {
        "response_std",
        "gradient_correlation",
        "path_length",
        "lesion",
        "block_contribution",
    }
    of_time = {"gate_timescale", "lyapunov_exponent", "solved"}
    assert metrics["time"] == losses | flow | of_time
    shares = {"saturated_share", "dead_share"}
    variances = {"weight_variance", "bias_variance"}
    plane = {"log_chi_1", *variances, *(f"critical_{name}" for name in variances)}
    assert metrics["saturation"] == curves | flow | band | shares | plane
    assert metrics["overfitting"] == metrics["architecture"] == curves
    assert metrics["extreme"] == curves | flow | {"log10_learning_rate"}
    first = "log10_first_step_rate"
    assert metrics["rate"] == {first, f"predicted_{first}", "log10_stable_rate"}


def test_a_smoke_run_ends_with_a_summary_and_a_report(whole_run):
    summary = json.loads((whole_run.path / "summary.json").read_text())
    assert not whole_run.interrupted
    assert {arm["status"] for arm in summary["arms"]} == {"finished"}
    assert all(arm["parameters"] > 0 for arm in summary["arms"])
    assert summary["verdicts"] and set(summary["initialisers"]) == {*TRAINED, *BY_NAME}
    assert summary["environment"]["device"].startswith("cpu")
    assert "<html" in write_report(whole_run.path).read_text()[:400]


def test_profiles_have_a_place_for_every_layer_and_time_step(whole_run):
    records = read_records(whole_run.path / "records.csv")
    of_arm = [
        r
        for r in records
        if r.arm == "residual-6" and r.metric == "log10_gradient_norm"
    ]
    assert {r.place for r in of_arm} == {"stem", "block 1", "block 2"}
    assert {r.position for r in of_arm} == {0, 1, 2}
    steps = {
        r.position
        for r in records
        if r.arm == "lstm-12" and r.metric == "log10_gradient_norm"
    }
    assert steps == set(range(12))


@pytest.mark.parametrize("steps, per_epoch", [(1, 1), (2, 2), (80, 16), (10_000, 100)])
def test_gradients_are_recorded_at_few_steps_with_both_ends(steps, per_epoch):
    kept = recorded_steps(steps, per_epoch)
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, steps - 1)
    assert len(kept) <= 16
    spaced = {round((steps - 1) ** (n / 6)) for n in range(6)} if steps > 2 else set()
    assert spaced <= set(kept)


def test_an_interrupted_run_is_resumed_without_repeating(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", "overfitting")
    taken = []

    def interrupted(arm, seeds, on_epoch, take=overfitting.run):
        taken.append(arm.name)
        if arm.name == "dropout-0.5" and taken.count(arm.name) == 1:
            raise KeyboardInterrupt
        return take(arm, seeds, on_epoch)

    monkeypatch.setattr(overfitting, "run", interrupted)
    # One after the other, so that the first arm has ended when the second stops.
    monkeypatch.setattr("jaxnets.studies.run.SIDE_BY_SIDE", 1)
    partial = run(tmp_path / "partial", "overfitting")
    assert partial.interrupted
    states = {a["arm"]: a["status"] for a in RunFolder(partial.path).summary()["arms"]}
    assert states == {"no-dropout": "finished", "dropout-0.5": "pending"}
    assert "<html" in write_report(partial.path).read_text()[:400]

    # As if the process had been killed between writing records and summary.
    file = partial.path / "records.csv"
    kept = read_records(file)
    write_records(file, [*kept, kept[0]._replace(arm="dropout-0.5")])

    resumed = run(partial.path, "overfitting", resume=True)
    assert not resumed.interrupted
    assert taken == ["no-dropout", "dropout-0.5", "dropout-0.5"]
    # The same seeds give the same records, also across the interruption.
    records = [read_records(each.path / "records.csv") for each in (whole, resumed)]
    assert records[0] == records[1]


def test_a_loss_that_is_not_finite_stops_the_arm_and_not_the_study(
    tmp_path, monkeypatch
):
    settings = depth_study.SCALES["smoke"]
    reckless = dataclasses.replace(settings, learning_rate=1e30)
    monkeypatch.setitem(depth_study.SCALES, "smoke", reckless)
    # Of the four arms the first and the last, as each one is compiled.
    all_arms = depth_study.arms
    monkeypatch.setattr(depth_study, "arms", lambda *of: all_arms(*of)[::3])
    result = run(tmp_path / "run", "depth", seeds=(5,))
    arms = {arm["arm"]: arm for arm in RunFolder(result.path).summary()["arms"]}
    assert list(arms) == ["plain-6", "residual-bn-6"]
    assert "pending" not in {arm["status"] for arm in arms.values()}
    stopped = [arm for arm in arms.values() if arm["status"] == "stopped"]
    assert stopped
    for arm in stopped:
        assert "The loss is not finite at step" in arm["message"]
        assert "First layer that is not finite: " in arm["message"]
        assert "The seed was 5." in arm["message"]
    write_report(result.path)


def test_a_folder_that_holds_a_run_is_not_overwritten(whole_run):
    before = (whole_run.path / "records.csv").read_bytes()
    with pytest.raises(FileExistsError, match=r"already holds a run.*--resume"):
        run(whole_run.path, "time")
    assert (whole_run.path / "records.csv").read_bytes() == before


def test_missing_data_leaves_no_empty_run(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "nothing"))
    config = ContrastConfig(("depth",), "smoke", (0,), "mnist")
    with pytest.raises(FileNotFoundError, match="MNIST"):
        contrast(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["", "{}", '{"studies": 3}', "[1, 2]"])
def test_a_broken_configuration_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json cannot be read"):
        RunFolder(tmp_path).config()
