"""Measurements: the samples of each case, and the ratios of their times."""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


# A row counts as slower than a peer if its ratio is below this.
LEVEL = 0.95


class Ratio(NamedTuple):
    """The ratios of two times, of which each round gives one.

    Attributes:
        median: Their median.
        low: The smallest of them.
        high: The largest of them.
    """

    median: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The samples of one case.

    Attributes:
        name: Name of the row.
        group: Group of the row.
        direction: Direction of the case.
        plan: The implementation of ours that ran; "" if the function has only one.
        spec: The `spec` of the row.
        seconds: For each contender, the seconds of one call in each round.
        calls: For each contender, the number of calls in a sample.
        compile_seconds: For each contender that JAX compiles, the seconds that tracing
            and compiling took.
        temp_bytes: For each contender that JAX compiles, the memory that its program
            needs beside arguments and results, if the backend reports it.
        parameters: The number of parameters of the network, if there is one.
        skipped: For each contender that could not run, the reason.
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
        """The median of the seconds that one call of ours took."""
        return statistics.median(self.seconds["ours"])

    def ratio(self, peer: str) -> Ratio | None:
        """Return the time of `peer` over ours, or None if it did not run."""
        if peer not in self.seconds:
            return None
        return ratio_of(self.seconds[peer], self.seconds["ours"])

    def over(self, variant: str) -> Ratio | None:
        """Return our time over that of `variant`, or None if that did not run.

        Args:
            variant: A further program of ours, such as "outside".
        """
        if variant not in self.seconds:
            return None
        return ratio_of(self.seconds["ours"], self.seconds[variant])


def ratio_of(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Divide times round by round, then take the median.

    The samples of one round follow each other closely, so a machine that is slow for a
    while slows both and the ratio stays. A slow contender takes part in fewer rounds;
    the rounds that both have are compared.

    Args:
        above: The seconds of one contender in each round, the numerators.
        below: The seconds of the other, the denominators.

    Returns:
        The median of the ratios, and their range.

    Example:
        >>> ratio_of([2.0, 6.0, 4.0], [1.0, 2.0, 4.0])
        Ratio(median=2.0, low=1.0, high=3.0)
    """
    ratios = [a / b for a, b in zip(above, below, strict=False)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


class Summary(NamedTuple):
    """A group of measurements compared with one peer.

    Attributes:
        group: Name of the group; "all" stands for all groups together.
        direction: "forward", "gradients", "step" or "epoch".
        peer: Name of the peer.
        mean: Geometric mean of the ratios.
        count: Number of ratios.
        slower: Number of ratios below 0.95.
        worst: Name of the row with the smallest ratio.
        worst_ratio: The smallest ratio.
    """

    group: str
    direction: str
    peer: str
    mean: float
    count: int
    slower: int
    worst: str
    worst_ratio: float


def summaries(measurements: Iterable[Any], peers: Sequence[str]) -> list[Summary]:
    """Summarise each group and, if there are several, all of them together.

    Args:
        measurements: The measurements of a run, or other objects that have `name`,
            `group`, `direction` and `ratio(peer)` as those do.
        peers: Names of the peers to compare with.

    Returns:
        The summaries, ordered by group, direction and peer. Where a peer took no
        part in a group there is no summary.
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
