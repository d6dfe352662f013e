"""The records of one network at one step, found by metric and place."""

import math
from collections import defaultdict
from collections.abc import Iterable

from jaxnets.runs.estimates import Estimate, estimate
from jaxnets.runs.records import Record


class Table:
    """Numbers by metric, place and seed; several positions of a place are averaged.

    Example:
        >>> records = [
        ...     Record("model", "m", "m", 1, s, 0, "dead_share", "a/relu", None, s / 2)
        ...     for s in range(3)
        ... ]
        >>> Table(records).seeds("dead_share", "a/relu")
        {0: 0.0, 1: 0.5, 2: 1.0}
    """

    def __init__(self, records: Iterable[Record]):
        self._found: defaultdict[str, dict[str, dict[int, list[float]]]] = defaultdict(
            dict
        )
        for record in records:
            places = self._found[record.metric].setdefault(record.place, {})
            places.setdefault(record.seed, []).append(record.value)

    def places(self, metric: str) -> list[str]:
        """Return the places that have a metric, in the order of the records."""
        return list(self._found[metric])

    def seeds(self, metric: str, place: str = "") -> dict[int, float]:
        """Return a number by seed; NaN or infinite if one of its positions is."""
        found = self._found[metric].get(place, {})
        return {seed: sum(values) / len(values) for seed, values in found.items()}

    def estimate(self, metric: str, place: str = "") -> Estimate | None:
        """Return the mean over seeds, or None if no seed has a finite number."""
        return estimate(self.seeds(metric, place).values())

    def all_zero(self, metric: str, place: str) -> bool:
        """Return whether the logarithm of a norm is that of zero in every seed."""
        values = self.seeds(metric, place).values()
        return bool(values) and all(value == -math.inf for value in values)


def module_of(place: str) -> str:
    """Return the module of an array or an activation.

    Example:
        >>> module_of("body/3/kernel"), module_of("scale")
        ('body/3', 'scale')
    """
    return place.rpartition("/")[0] or place


def listed(names: Iterable[str], most: int = 3) -> str:
    """Return a few names, and how many more there are.

    Example:
        >>> listed(["a", "b", "c", "d"])
        'a, b, c and 1 more'
    """
    names = list(dict.fromkeys(names))
    rest = len(names) - most
    shown = ", ".join(names[:most])
    return f"{shown} and {rest} more" if rest > 0 else shown
