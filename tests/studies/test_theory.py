"""The study of theory measures what it predicts, at small size."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.cli import main
from jaxnets.gradflow.theory import chi_1
from jaxnets.runs.claims import CLAIMS
from jaxnets.runs.records import Record, read_records
from jaxnets.studies.theory import phase as theory_phase
from jaxnets.studies.theory import study as theory
from jaxnets.studies.theory.verdicts import claim_verdicts


# Small networks for all claims.
SMALL_DEPTH = theory.DepthSizes(
    width=200,
    layers=20,
    settled=40,
    deep=80,
    shattered=(1, 2, 4, 8, 16),
    blocks=54,
    narrow=((60, 20), (40, 20)),
    networks=150,
)
SMALL_TIME = theory.TimeSizes(hidden=96, steps=100, long=300)


@pytest.fixture
def records_of_claim(monkeypatch):
    """Return a function that returns the records of a claim."""
    settings = theory.TheorySettings(SMALL_DEPTH, SMALL_TIME)
    monkeypatch.setitem(theory.SCALES, "smoke", settings)
    arms = {arm.name: arm for arm in theory.arms("smoke", "")}

    def measure(name, seeds=range(4)):
        return theory.run(arms[name], tuple(seeds), lambda *figures: None).records

    return measure


@pytest.fixture
def optimized():
    """Turn the optimizations on that the tests turn off to compile faster."""
    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    jax.config.update(name, False)
    yield
    jax.config.update(name, before)


@pytest.fixture
def claim(records_of_claim):
    """Return a function that returns means over seeds, measured and predicted.

    Both are `{(family, size): value}`.
    """

    def measure(name, seeds=range(4)):
        records = records_of_claim(name, seeds)
        return means(records, "claim"), means(records, "predicted_claim")

    return measure


def means(records, metric):
    points = {(r.family, r.size): [] for r in records if r.metric == metric}
    for record in records:
        if record.metric == metric:
            points[record.family, record.size].append(record.value)
    return {point: np.mean(values) for point, values in points.items()}


def line(values, family):
    found = sorted((x, value) for (name, x), value in values.items() if name == family)
    return np.array(found).T


def worst(measured, predicted):
    return max(abs(measured[point] - predicted[point]) for point in measured)


def test_without_he_the_signal_and_gradient_lose_sqrt_2_a_layer(claim):
    measured, predicted = claim("he", range(8))
    assert worst(measured, predicted) < 0.3 / np.log(10)
    assert predicted["1/n, gradient", 19.0] == pytest.approx(-9.5 * np.log10(2))
    assert predicted["He, signal", 19.0] == 0


def test_a_squared_gradient_changes_by_chi_1_a_layer(claim):
    measured, predicted = claim("chi", range(8))
    wanted = {0.9: -0.4257, 1.1: -0.1635, 1.5: 0.0879, 2.0: 0.2929}
    for gain, slope in wanted.items():
        assert predicted["bias variance 0.05", gain] == pytest.approx(slope, abs=2e-3)
    assert worst(measured, predicted) < 0.03


def test_the_critical_line_parts_the_networks_that_vanish_from_those_that_explode():
    (arm,) = [arm for arm in theory.arms("smoke", "") if arm.name == "chi"]
    plane = theory_phase.phase_plane(arm)

    def values(metric):
        found = [r for r in plane if r.metric == metric]
        return {(r.family, r.size, r.position): r.value for r in found}

    line = [values(f"critical_{axis}_variance") for axis in ("bias", "weight")]
    biases, weights = (list(points.values()) for points in line)
    assert (biases[0], weights[0]) == (0.0, pytest.approx(1.0))
    assert len(biases) == len(weights) == 10
    networks, biases_of = values("weight_variance"), values("bias_variance")
    assert len(networks) == 8
    for network, weight_variance in networks.items():
        bias_variance = biases_of[network]
        variances = {"weight_variance": weight_variance, "bias_variance": bias_variance}
        chaotic = chi_1(jnp.tanh, **variances) > 1
        assert chaotic == (weight_variance > np.interp(bias_variance, biases, weights))


def test_plain_growth_is_exponential_and_residual_growth_is_not(claim):
    measured, predicted = claim("residual", range(3))
    for family, low, high in (("plain tanh", 0.8, 1.1), ("residual tanh", 0.4, 0.7)):
        k, growth = line(measured, family)
        # The exponent with which growth depends on depth over the upper half.
        assert (k[38], k[78]) == (39, 79)
        assert low < np.log(growth[78] / growth[38]) / np.log(79 / 39) < high, family
        theirs = line(predicted, family)[1]
        np.testing.assert_allclose(growth, theirs, rtol=0.15, atol=0.3)
    assert measured["plain tanh", 79.0] < -10 and measured["residual tanh", 79.0] > 3


def test_plain_gradients_shatter_as_a_power_of_2_and_residual_ones_slower(
    records_of_claim,
):
    records = records_of_claim("shattering")
    measured, predicted = means(records, "claim"), means(records, "predicted_claim")
    plain = {point: v for point, v in measured.items() if point[0] == "plain ReLU"}
    assert predicted["plain ReLU", 8.0] == 2**-8
    # BatchNorm removes the mean of 64 inputs, so chance agreement is 31/63, not 1/2.
    assert worst(plain, predicted) < 0.02
    depths, correlations = line(measured, "residual ReLU")
    slope = np.polyfit(np.log(depths), np.log(correlations), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.1)
    # 0.75/sqrt(L) is right for 1 block and then too small; the refined one is right.
    refined = means(records, "refined_claim")
    assert {x for _, x in refined} == set(depths)
    theirs = {point: measured[point] for point in refined}
    assert worst(theirs, refined) < 0.03 < 0.05 < worst(theirs, predicted)
    (verdict,) = claim_verdicts(records)
    assert (verdict.number, verdict.holds) == (4, "in part")
    assert "residual ReLU at depth" in verdict.sentence
    met = {row["line"]: row["met"] / row["points"] for row in verdict.lines}
    assert met["plain ReLU"] == 1.0 > met["residual ReLU"]


def test_gradients_take_short_paths(claim):
    measured, predicted = claim("path")
    assert predicted["aligned branches", 0.256] == pytest.approx(54 * 0.256 / 1.256)
    assert worst(measured, predicted) < 0.5


def test_an_rnn_forgets_at_the_predicted_rate(claim):
    measured, predicted = claim("rnn")
    assert predicted["at rest", 1.2] == pytest.approx(np.log(1.2))
    assert predicted["with input", 1.2] == pytest.approx(-0.143, abs=4e-3)
    assert worst(measured, predicted) < 5e-3


def test_the_forget_bias_sets_the_direct_path_and_the_others_add_to_it(claim):
    measured, predicted = claim("forget")
    for bias, slope in {0.0: -0.693, 1.0: -0.313, 2.0: -0.127, 4.0: -0.018}.items():
        assert measured["direct path", bias] == pytest.approx(slope, abs=1e-3)
        assert measured["all paths", bias] > measured["direct path", bias] + 0.05
    assert measured["all paths", 0.0] < 0 < measured["all paths", 4.0]
    assert worst(measured, predicted) < 0.01


def test_gradients_grow_at_the_lyapunov_exponent_which_changes_sign_at_1(claim):
    measured, predicted = claim("lyapunov")
    assert measured["Gaussian RNN", 0.8] < -0.1 < measured["Gaussian RNN", 1.0] < 0.01
    assert 0 < measured["Gaussian RNN", 1.5] < measured["Gaussian RNN", 2.0]
    assert worst(measured, predicted) < 0.01


@pytest.mark.usefixtures("optimized")
def test_the_log_norm_of_narrow_networks_scatters_by_5_over_n_a_layer(
    records_of_claim,
):
    records = records_of_claim("width")
    measured, predicted, refined = (
        means(records, metric)
        for metric in ("claim", "predicted_claim", "refined_claim")
    )
    assert sorted({x for _, x in predicted}) == pytest.approx([5 / 3, 2.5])
    for point, value in measured.items():
        assert value == pytest.approx(predicted[point], rel=0.25), point
        assert value == pytest.approx(refined[point], rel=0.2), point
        assert refined[point] > 1.02 * predicted[point], point


@pytest.mark.parametrize(
    "values, holds",
    [((4.8, 5.1), "yes"), ((6.0, 6.0), "no"), ((1.0, 8.0), "yes")],
)
def test_a_claim_is_met_within_its_tolerance_or_inside_the_interval(values, holds):
    point = lambda seed, metric, value, x=0.1: Record(
        "theory", "path", "net", x, seed, 0, metric, "", None, value
    )
    records = [point(-1, "predicted_claim", 5.0)]
    records += [point(seed, "claim", value) for seed, value in enumerate(values)]
    (verdict,) = claim_verdicts(records)
    assert verdict.holds == holds
    assert "at strength 0.1, predicted 5, measured" in verdict.sentence
    (row,) = verdict.lines
    assert row["met"] == (holds == "yes") and row["points"] == 1
    # Together with a point that is met, the claim holds in part.
    others = [point(-1, "predicted_claim", 5.0, 0.6), point(0, "claim", 5.0, 0.6)]
    (verdict,) = claim_verdicts([*records, *others])
    assert verdict.holds == ("yes" if holds == "yes" else "in part")


def test_the_command_measures_all_claims_and_draws_them(tmp_path, capsys):
    folder = tmp_path / "run"
    asked = ["contrast", "theory", "--scale", "smoke", "--seeds", "2"]
    assert main([*asked, "--out", str(folder)]) == 0
    records = read_records(folder / "records.csv")
    assert {r.arm for r in records} == set(CLAIMS)
    for metric in ("claim", "predicted_claim"):
        of_metric = [r for r in records if r.metric == metric]
        assert {r.arm for r in of_metric} == set(CLAIMS)
        assert all(np.isfinite(r.value) for r in of_metric)
    claims = json.loads((folder / "summary.json").read_text())["claims"]
    assert [claim["number"] for claim in claims] == list(range(1, len(CLAIMS) + 1))
    assert {claim["holds"] for claim in claims} <= {"yes", "in part", "no"}
    page = (folder / "report.html").read_text()
    assert "stopped before" not in page
    printed = " ".join(capsys.readouterr().out.split())
    for claim in claims:
        assert claim["sentence"] in printed
        assert claim["lines"] and claim["sentence"].split(":")[0] in page


def test_the_sensitivity_of_a_linear_unit_grows_with_its_memory(claim):
    measured, predicted = claim("memory")
    assert measured.keys() == predicted.keys()
    for point, value in measured.items():
        np.testing.assert_allclose(value, predicted[point], atol=0.08)
    exponents = {
        "lambda": 1.5,
        "lambda, normalised input": 1.0,
        "exponential": 0.5,
        "exponential, normalised input": 0.0,
    }
    for family, exponent in exponents.items():
        x, y = line(measured, family)
        slope = np.polyfit(x[2:], y[2:], 1)[0] / np.log10(2)
        np.testing.assert_allclose(slope, exponent, atol=0.1)
