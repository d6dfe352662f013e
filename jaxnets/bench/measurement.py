"""What was measured: every sample of a case, and the ratios made of them."""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


# A row counts as slower below this.
LEVEL = 0.95


class Ratio(NamedTuple):
    """Ratios of times, one a round.

    Attributes:
        median: Their median.
        low: The smallest.
        high: The largest.
    """

    median: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The samples of one case.

    Attributes:
        name: Name of the row.
        group: The row's group.
        direction: That of the case.
        plan: The implementation of ours that ran; "" where there is one only.
        spec: The row.
        seconds: By contender, seconds of one call in each round.
        calls: By contender, calls in each sample.
        compile_seconds: By contender that is compiled.
        temp_bytes: By contender that is compiled, the memory that its program needs
            beside arguments and results, where the backend says so.
        parameters: The parameters of the network, if it is one.
        skipped: By contender that could not run, why.
    """

    name: str
    group: str
    direction: str
    plan: str
    spec: dict[str, Any]
    seconds: dict[str, list[float]]
    calls: dict[str, int]
    compile_seconds: dict[str, float]
    temp_bytes: dict[str, int] = dataclasses.field(default_factory=dict)
    parameters: int | None = None
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def ours(self) -> float:
        """Median seconds of one call of ours."""
        return statistics.median(self.seconds["ours"])

    def ratio(self, peer: str) -> Ratio | None:
        """Return `peer`'s time over ours, or None if it did not run."""
        if peer not in self.seconds:
            return None
        return ratio_of(self.seconds[peer], self.seconds["ours"])

    def over(self, variant: str) -> Ratio | None:
        """Return our time over that of a further program of ours, if it was timed."""
        if variant not in self.seconds:
            return None
        return ratio_of(self.seconds["ours"], self.seconds[variant])


def ratio_of(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Divide times round by round, then take the median.

    Times of one round are neighbours, so what slows the machine for a while cancels.
    A slow contender has fewer rounds: those that both have count.

    Args:
        above: Seconds in each round.
        below: The same of the other.

    Returns:
        The median of the ratios, and their range.

    Example:
        >>> ratio_of([2.0, 6.0, 4.0], [1.0, 2.0, 4.0])
        Ratio(median=2.0, low=1.0, high=3.0)
    """
    ratios = [a / b for a, b in zip(above, below, strict=False)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


class Summary(NamedTuple):
    """What a group of measurements amounts to beside one peer.

    Attributes:
        group: The group; "all" for all of them.
        direction: "forward", "gradients" or "step".
        peer: The peer.
        mean: Geometric mean of the ratios.
        count: How many there are.
        slower: How many lie below 0.95.
        worst: Name of the row with the smallest ratio.
        worst_ratio: That ratio.
    """

    group: str
    direction: str
    peer: str
    mean: float
    count: int
    slower: int
    worst: str
    worst_ratio: float


def summaries(measurements: Iterable[Measurement], peers: Sequence[str]):
    """Summarise each group and, if there are several, all of them.

    Args:
        measurements: What was measured.
        peers: Beside whom.

    Returns:
        A list of `Summary`, by group, direction and peer; groups that a peer took no
        part in are left out.
    """
    measurements = list(measurements)
    groups = list(dict.fromkeys(m.group for m in measurements))
    directions = dict.fromkeys(m.direction for m in measurements)
    found = []
    for group in [*groups, "all"] if len(groups) > 1 else groups:
        of_group = [m for m in measurements if group in (m.group, "all")]
        for direction in directions:
            members = [m for m in of_group if m.direction == direction]
            for peer in peers:
                ratios = {m.name: m.ratio(peer) for m in members}
                medians = {name: r.median for name, r in ratios.items() if r}
                if medians:
                    found.append(_summary(group, direction, peer, medians))
    return found


def _summary(group, direction, peer, medians: dict[str, float]) -> Summary:
    worst = min(medians, key=lambda name: medians[name])
    return Summary(
        group,
        direction,
        peer,
        math.exp(statistics.fmean(map(math.log, medians.values()))),
        len(medians),
        sum(ratio < LEVEL for ratio in medians.values()),
        worst,
        medians[worst],
    )
