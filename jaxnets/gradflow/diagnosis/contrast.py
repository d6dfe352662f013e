"""Contrasts of two networks of the same seeds: which keeps its gradient's size better.

Better is what changes the size less, whether it loses or gains: per seed, by how many
powers of ten `|log10 change|` is smaller.
"""

from collections.abc import Mapping

from jaxnets.gradflow.diagnosis.profiles import TENFOLD, Profile
from jaxnets.gradflow.diagnosis.verdict import Verdict
from jaxnets.runs.estimates import Estimate, estimate, paired_difference
from jaxnets.runs.formatting import format_power_of_ten


REASON = (
    "Both networks have the same seeds and data, so the interval is that of the "
    "differences seed by seed; what lies on the other side of the threshold may be "
    "chance or too small to matter."
)
OTHER_CAUSE = (
    "Networks that differ in more than what is contrasted (parameters, width, "
    "initialiser) may owe the gap to that."
)


def arrival_contrast(
    names: tuple[str, str],
    flows: tuple[Profile, Profile],
    *,
    study: str,
    where: str,
    opening: str,
) -> Verdict | None:
    """Contrast what arrives at the first place; positive where the second is better."""
    arrivals = flows[0].arrivals, flows[1].arrivals
    gain = _gain(arrivals)
    arrived = [estimate(arrival.values()) for arrival in arrivals]
    better = by_how_much(names, arrivals)
    if gain is None or better is None or arrived[0] is None or arrived[1] is None:
        return None
    shares = [format_power_of_ten(share.mean) for share in arrived if share]
    return Verdict(
        where,
        gain.mean,
        TENFOLD if gain.mean >= 0 else -TENFOLD,
        f"{opening} of the {names[0]} network receives {shares[0]} times the last "
        f"one's gradient, that of the {names[1]} network {shares[1]} times: {better}.",
        "",
        "contrast",
        study,
        gain.low,
        gain.high,
        REASON,
        OTHER_CAUSE,
    )


def by_how_much(
    names: tuple[str, str],
    changes: tuple[Mapping[int, float], Mapping[int, float]],
    unit: str = "",
) -> str | None:
    """Say in which network the gradient flows better, by what factor, how sure.

    Args:
        names: Of the two.
        changes: By seed: log10 of what the gradient is multiplied by.
        unit: What the change is counted over, such as `per 100 steps`.

    Example:
        >>> by_how_much(("plain", "residual"), ({0: -5.0}, {0: 0.3}))
        'the gradient flows better in the residual network, by a factor of 5*10^4 ...'
    """
    gain = _gain(changes)
    if gain is None:
        return None
    better, factor = names[1], gain
    if gain.mean < 0:
        better = names[0]
        low, high = (None if end is None else -end for end in (gain.high, gain.low))
        factor = Estimate(-gain.mean, low, high, gain.seeds)
    size = format_power_of_ten(factor.mean) + (f" {unit}" if unit else "")
    if factor.low is None or factor.high is None:
        sure, because = True, "one seed each, so no interval"
    else:
        sure = factor.low > 0
        ends = (
            f"{format_power_of_ten(factor.low)} to {format_power_of_ten(factor.high)}"
        )
        because = f"95 % interval {ends}, {factor.seeds} seeds, paired"
    verdict = "flows better" if sure else "seems to flow better"
    return f"the gradient {verdict} in the {better} network, by a factor of {size} " + (
        f"({because})" if sure else f"({because}: not sure)"
    )


def _gain(changes: tuple[Mapping[int, float], Mapping[int, float]]) -> Estimate | None:
    """By how many powers of ten the second changes the gradient's size less."""
    sizes = [{seed: abs(c) for seed, c in change.items()} for change in changes]
    return paired_difference(sizes[1], sizes[0])
