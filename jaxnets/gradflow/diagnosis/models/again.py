"""A verdict's number, measured again on a changed network."""

import math
import statistics

import numpy as np

from jaxnets.gradflow.diagnosis.models.depth import module_at, with_products
from jaxnets.gradflow.diagnosis.models.series import series, split
from jaxnets.gradflow.diagnosis.profiles import profile
from jaxnets.gradflow.diagnosis.table import Table
from jaxnets.gradflow.diagnosis.verdict import select
from jaxnets.runs.estimates import estimate
from jaxnets.runs.formatting import power_of_ten
from jaxnets.runs.records import Record


def layers_of(quantity: tuple[str, ...], records: list[Record]) -> list[str]:
    """Return the taps of a chain from the first to the last place of a quantity.

    Args:
        quantity: That of a verdict along depth.
        records: The records that it rests on.
    """
    _, first, last = quantity
    for chain in chains_of(records):
        if first in chain and last in chain:
            return chain[chain.index(first) : chain.index(last) + 1]
    return []


def chains_of(records: list[Record]) -> list[list[str]]:
    """Return the names of the taps of each chain, in the order of the forward pass."""
    depth, _ = split(select(records, step=0))
    found = []
    for rows in series(depth, records):
        ordered = sorted(rows, key=lambda record: record.position or 0)
        found.append(list(dict.fromkeys(record.place for record in ordered)))
    return found


def number_again(
    quantity: tuple[str, ...],
    before: list[Record],
    after: list[Record],
    step: int = 0,
) -> float | None:
    """Return what a number is after a change of the network.

    Along depth the taps are those of the first measurement, whatever chain they now
    belong to, so that both numbers count the same layers.

    Args:
        quantity: What the number is.
        before: The records that the verdict rests on.
        after: Those of the changed network.
        step: How many updates were made before the measurement.

    Returns:
        The number, or None if it cannot be measured there.
    """
    metric, *places = quantity
    rows = select(after, step=step)
    if metric == "gradient_rate_in_time":
        norms = profile(rows, place=places[0])
        rate = norms and estimate(norms.rates.values())
        return power_of_ten(rate.mean) if rate else None
    if not metric.startswith(("gradient_", "product_")):
        share = Table(rows).estimate(metric, places[0])
        return share and share.mean
    layers = layers_of(quantity, before)
    depth, _ = split(rows)
    if metric.startswith("product_"):
        depth = with_products(depth, Table(rows))
    norms = {
        place: statistics.fmean(values)
        for place in layers
        if (values := _at(place, depth))
    }
    positions = [n for n, place in enumerate(layers) if place in norms]
    values = [norms[layers[n]] for n in positions]
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    if metric.endswith("_change"):
        return power_of_ten(values[0] - values[-1])
    return power_of_ten(-float(np.polyfit(positions, values, 1)[0]))


def _at(place: str, records: list[Record]) -> list[float]:
    """Return the numbers at a tap; after another activation it has another name."""
    found = select(records, place=place)
    if not found and module_at(place) != place:
        found = [
            record
            for record in records
            if module_at(record.place) == module_at(place) != record.place
        ]
    return [record.value for record in found]
