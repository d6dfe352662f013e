"""Contrasts of two networks of the same seeds: which keeps its gradient's size better.

The better network changes the size less, whether it loses or gains. The number of a
contrast is by how many powers of ten `|log10 change|` is smaller in it, seed by seed.
"""

from collections.abc import Mapping

from jaxnets.gradflow.diagnosis.profiles import TENFOLD, Profile
from jaxnets.gradflow.diagnosis.verdict import Verdict, verdict_on
from jaxnets.runs.estimates import Estimate, estimate, paired_difference
from jaxnets.runs.formatting import format_power_of_ten


REASON = (
    "Both networks have the same seeds and data, so the interval is that of the "
    "differences seed by seed. If it reaches across the threshold, the difference may "
    "be chance or too small to matter."
)
OTHER_CAUSE = (
    "If the networks differ in anything else (parameters, width, initialiser), that "
    "may explain the gap."
)


def arrival_contrast(
    names: tuple[str, str],
    profiles: tuple[Profile, Profile],
    *,
    study: str,
    where: str,
    opening: str,
) -> Verdict | None:
    """Contrast what arrives at the first position of two profiles.

    Args:
        names: Names of the two networks.
        profiles: Their profiles.
        study: The study of the verdict.
        where: What is contrasted.
        opening: Subject of the sentence, such as `The first layer`.

    Returns:
        A verdict without a remedy, whose number is positive if the second network is
        better. None if no seed has finite norms in both.
    """
    arrivals = profiles[0].arrivals, profiles[1].arrivals
    gain = _gain(arrivals)
    arrived = [estimate(arrival.values()) for arrival in arrivals]
    better = by_how_much(names, arrivals)
    if gain is None or better is None or arrived[0] is None or arrived[1] is None:
        return None
    shares = [format_power_of_ten(share.mean) for share in arrived if share]
    return verdict_on(
        "contrast",
        gain,
        where=where,
        sentence=(
            f"{opening} of the {names[0]} network receives {shares[0]} times the last "
            f"one's gradient, that of the {names[1]} network {shares[1]} times: "
            f"{better}."
        ),
        threshold=TENFOLD if gain.mean >= 0 else -TENFOLD,
        study=study,
        reason=REASON,
        other_cause=OTHER_CAUSE,
    )


def by_how_much(
    names: tuple[str, str],
    changes: tuple[Mapping[int, float], Mapping[int, float]],
    unit: str = "",
) -> str | None:
    """Say in which network the gradient flows better, by what factor, and how surely.

    Args:
        names: Names of the two networks.
        changes: By seed: log10 of what the gradient is multiplied by.
        unit: What the change is counted over, such as `per 100 steps`.

    Returns:
        Part of a sentence. None if no seed has a finite change in both networks.

    Example:
        >>> by_how_much(("plain", "residual"), ({0: -5.0}, {0: 0.3}))
        'the gradient flows better in the residual network, by a factor of 5*10^4 ...'
    """
    gain = _gain(changes)
    if gain is None:
        return None
    better, factor = (names[1], gain) if gain.mean >= 0 else (names[0], -gain)
    size = format_power_of_ten(factor.mean) + (f" {unit}" if unit else "")
    if factor.low is None or factor.high is None:
        sure, because = True, "one seed each, so no interval"
    else:
        sure = factor.low > 0
        low, high = map(format_power_of_ten, factor.interval)
        because = f"95 % interval {low} to {high}, {factor.seeds} seeds, paired"
    verb = "flows better" if sure else "seems to flow better"
    doubt = "" if sure else ": not sure"
    return (
        f"the gradient {verb} in the {better} network, by a factor of {size} "
        f"({because}{doubt})"
    )


def _gain(changes: tuple[Mapping[int, float], Mapping[int, float]]) -> Estimate | None:
    """Return by how many powers of ten the second changes the gradient's size less."""
    sizes = [{seed: abs(c) for seed, c in change.items()} for change in changes]
    return paired_difference(sizes[1], sizes[0])
