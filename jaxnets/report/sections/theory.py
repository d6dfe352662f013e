"""The study of theory: nine claims, each as a prediction and a measurement."""

from collections import defaultdict
from typing import Any, NamedTuple

from jaxnets.report.charts.axes import MEASURED, PREDICTED, REFINED, Axes
from jaxnets.report.charts.figures import Figure, Plot, Spot, figure
from jaxnets.report.charts.lines import line, misfit
from jaxnets.report.charts.phase import phase_diagram
from jaxnets.report.intervals import interval, number
from jaxnets.report.sections.section import AnyFigure, Section, Table
from jaxnets.runs.estimates import over_seeds
from jaxnets.runs.reading import items
from jaxnets.runs.records import Record
from jaxnets.runs.selection import of_metric


CLAIM = "claim"
# The role of each metric's line.
ROLES = {CLAIM: MEASURED, "predicted_claim": PREDICTED, "refined_claim": REFINED}
PHASES = "Order and chaos: tanh networks beside the critical line"
HEAD = [
    "Claim",
    "Line",
    "Source",
    "Points met",
    "At",
    "Predicted",
    "Refined",
    "Measured",
    "Misfit",
]
CAPTION = (
    "At the last point of each line, with its interval over seeds. Points met: within "
    "the claim's tolerance, or the prediction within the interval. Refined: predicted "
    "without the claim's approximation. Misfit: root mean square distance of the "
    "prediction from the measurement over all points, in the unit of the figure, with "
    "neither of them moved."
)


class Claim(NamedTuple):
    """A claim of the literature: what its figure shows and where it comes from."""

    name: str
    plot: Plot
    source: str


CLAIMS = {
    "he": Claim(
        "Initialiser",
        Plot(
            "initialiser-scale",
            "1. He's initialiser keeps the signal, 1/n loses it",
            "Root mean square of the signal, and norm of the gradient, after so many "
            "ReLU layers, relative to the start. With weights of variance 1/n each "
            "layer takes a factor of 1/√2; He's 2/n gives it back.",
            Axes("ReLU layers passed", "size (log10)"),
        ),
        "He et al. 2015",
    ),
    "chi": Claim(
        "chi_1",
        Plot(
            "chi-slope",
            "2. The factor chi_1 sets the rate of tanh networks",
            "Slope of the logarithm of the squared gradient, per layer. Below 0 it "
            "vanishes (ordered phase), above 0 it explodes (chaotic phase).",
            Axes(
                "standard deviation of weights, times √n", "nats per layer", bars=True
            ),
        ),
        "Schoenholz et al. 2017",
    ),
    "residual": Claim(
        "Residual growth",
        Plot(
            "residual-growth",
            "3. Plain networks lose exponentially, residual ones do not",
            "What the squared gradient gains or loses over the first so many layers or "
            "blocks. A straight line is an exponential; the residual line bends.",
            Axes("layers or blocks", "squared gradient (nats)"),
        ),
        "Yang and Schoenholz 2017",
    ),
    "shattering": Claim(
        "Shattering",
        Plot(
            "shattering",
            "4. Shattered gradients: 1/2^L, or 1/√L with shortcuts",
            "Correlation of the gradients of different inputs. Near 0 they look like "
            "white noise. Predictions: 1/2^L plain, 0.75/√L residual; dotted: counted "
            "block by block.",
            Axes("depth L", "correlation", log=True, bars=True),
        ),
        "Balduzzi et al. 2017",
    ),
    "path": Claim(
        "Path length",
        Plot(
            "effective-path-length",
            "5. Gradients take short paths through residual blocks",
            "Mean number of branches on the paths that carry the gradient: n ε/(1 + ε) "
            "where branches add up, n ε²/(1 + ε²) where random ones partly cancel.",
            Axes("strength ε of a branch", "branches", bars=True),
        ),
        "Veit et al. 2016",
    ),
    "rnn": Claim(
        "RNN",
        Plot(
            "rnn-slope",
            "6. An RNN forgets by its gain and by its saturation",
            "Slope of the gradient's logarithm per step back in time. A gain above 1 "
            "is needed for an explosion but not enough: with input, units saturate.",
            Axes("gain of the orthogonal recurrent matrix", "nats per step", bars=True),
        ),
        "Pascanu et al. 2013",
    ),
    "forget": Claim(
        "Forget bias",
        Plot(
            "forget-bias",
            "7. The forget bias sets the memory of an LSTM",
            "Slope of dL/dc over the direct path alone, where it is log σ(b), and over "
            "all paths, to which the recurrent weights add.",
            Axes("bias b of the forget gate", "nats per step", bars=True),
        ),
        "Gers et al. 2000; Jozefowicz et al. 2015",
    ),
    "lyapunov": Claim(
        "Lyapunov exponent",
        Plot(
            "lyapunov-exponent",
            "8. Gradients grow at the largest Lyapunov exponent",
            "Measured: slope of the gradient per step back in time. Theory: each "
            "network's own exponent, measured forwards. It changes sign at a gain of "
            "1, where random networks turn chaotic.",
            Axes("gain of the Gaussian recurrent matrix", "nats per step", bars=True),
        ),
        "Sompolinsky et al. 1988; Vogt et al. 2020",
    ),
    "width": Claim(
        "Finite width",
        Plot(
            "finite-width",
            "9. Narrow networks scatter by 5 Σ 1/n",
            "Variance over networks of the logarithm of the squared gradient, and its "
            "mean times −2. Both are predicted to be 5 Σ 1/n, the leading order in "
            "1/n; dotted: the whole of it.",
            Axes("5 Σ 1/n over layers of width n", "nats (squared)", bars=True),
        ),
        "Hanin and Nica 2018",
    ),
}


def theory_section(records: list[Record], verdicts: list[dict[str, Any]]) -> Section:
    """Return the section of the study `theory`.

    Args:
        records: Those of the study.
        verdicts: What the run's summary says of its claims.
    """
    judged = {verdict.get("claim"): verdict for verdict in verdicts}
    figures: list[AnyFigure] = []
    absent, rows = [], []
    for arm, claim in CLAIMS.items():
        theirs = of_metric([r for r in records if r.arm == arm], *ROLES)
        drawn = _figure(claim, theirs)
        if drawn is None:
            absent.append(claim.plot.title)
        else:
            verdict = judged.get(arm, {})
            figures.append(drawn._replace(finding=str(verdict.get("sentence") or "")))
            met = _met(verdict)
            rows += [_row(claim, theirs, name, met) for _, name in drawn.drawn()]
    chi = [record for record in records if record.arm == "chi"]
    phases = phase_diagram("theory", PHASES, chi, CLAIM, lambda record: "")
    if phases is None:
        absent.append(PHASES)
    else:
        figures.append(phases)
    return Section(
        "theory",
        "Theory: nine claims, measured",
        "Does what the literature says about gradients at initialisation hold in "
        "networks of this size? Nothing is trained; dashed is the prediction, solid "
        "the measurement, dotted a prediction without the claim's approximation.",
        figures,
        Table("The claims", CAPTION, HEAD, rows) if rows else None,
        absent,
    )


def _figure(claim: Claim, records: list[Record]) -> Figure | None:
    spots = (
        (record, Spot(record.size, role=ROLES[record.metric])) for record in records
    )
    families = {record.family for record in records}
    return figure("theory", claim.plot, spots, families)


def _met(verdict: dict[str, Any]) -> dict[str, str]:
    """Return at how many points each line of a claim is met, as the run judged it."""
    lines = [line for line in items(verdict.get("lines")) if isinstance(line, dict)]
    return {
        str(line.get("line")): f"{line.get('met')} of {line.get('points')}"
        for line in lines
    }


def _row(
    claim: Claim, records: list[Record], family: str, met: dict[str, str]
) -> list[str]:
    places = {role: defaultdict(list) for role in ROLES.values()}
    for record in records:
        if record.family == family:
            places[ROLES[record.metric]][record.size].append(record)
    lines = {role: line(family, role, theirs) for role, theirs in places.items()}
    distance = misfit(lines[MEASURED], lines[PREDICTED])
    last = max((*places[MEASURED], *places[PREDICTED]))
    predicted, refined = (
        over_seeds(places[role].get(last, [])) for role in (PREDICTED, REFINED)
    )
    measured = places[MEASURED].get(last)
    number_of_claim, *_ = claim.plot.title.split(".")
    return [
        f"{number_of_claim}. {claim.name}",
        family,
        claim.source,
        met.get(family, "–"),
        number(last),
        number(predicted.mean) if predicted else "–",
        number(refined.mean) if refined else "–",
        interval(over_seeds(measured)) if measured else "–",
        number(distance, 2),
    ]
