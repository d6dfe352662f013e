"""Which taps of a user's network lie one behind the other, told from their names."""

import re
from collections import defaultdict
from collections.abc import Sequence


# A rate needs at least three places.
SHORTEST = 3
# Of a recurrent layer the states carry the memory; its gates show the same loss.
STATES = ("h", "c")


def chains(places: Sequence[str]) -> list[list[str]]:
    """Return series of places that can be compared, the network itself first.

    The network is the series of its outermost modules, or of what is inside of them
    where those are fewer than three. After it come the places that play one role in
    repeated parts, such as `blocks/*/conv`, where the first series lacks them.

    Args:
        places: Names of taps in the order of the forward pass; a name below another is
            inside of it.

    Returns:
        Series of at least two places, in the order of the forward pass.

    Example:
        >>> chains(["stem", "blocks/0/conv", "blocks/0", "blocks/1/conv", "blocks/1"])
        [['stem', 'blocks/0', 'blocks/1']]
        >>> chains(["net/0", "net/1", "net/2", "net/3", "net"])
        [['net/0', 'net/1', 'net/2', 'net/3']]
    """
    inside = [place for place in places if place != "__call__"]
    network = _outermost(inside)
    while len(network) < SHORTEST:
        opened = _outermost(
            [p for p in inside if p not in network or not _below(p, inside)]
        )
        if opened == network:
            break
        inside = [p for p in inside if p not in network or not _below(p, inside)]
        network = opened
    network = network or list(places)
    roles: defaultdict[str, list[str]] = defaultdict(list)
    for place in places:
        roles[role(place)].append(place)
    found = [network, *roles.values()]
    return [
        series
        for number, series in enumerate(found)
        if len(series) >= (SHORTEST if number else 2)
        and (number == 0 or not set(series) <= set(network))
    ]


def role(place: str) -> str:
    """Return what `place` is in the part of the network that it belongs to.

    Numbers count the parts; of the last name only where it is nothing but a number.

    Example:
        >>> role("blocks/0/conv2"), role("block1/norm"), role("layers/3#2")
        ('blocks/*/conv2', 'block*/norm', 'layers/*')
    """
    above, slash, last = place.partition("#")[0].rpartition("/")
    return re.sub(r"\d+", "*", above) + slash + re.sub(r"^\d+$", "*", last)


def states(places: Sequence[str]) -> list[str]:
    """Return the taps in time loops to judge: states rather than gates, outermost.

    Example:
        >>> states(["memory/i", "memory/f", "memory/c", "memory/h", "other/cell"])
        ['memory/c', 'memory/h', 'other/cell']
        >>> states(["cell/dense_i", "cell/dense_h", "cell/0/0", "cell/0/1"])
        ['cell/0/0', 'cell/0/1']
    """
    siblings: defaultdict[str, list[str]] = defaultdict(list)
    # A cell with several outputs is `cell/0/0`, `cell/0/1`: what else stands below
    # `cell` is inside of it.
    cells = {stem for place in places if (stem := _stem(place)) != place}
    inside = lambda place: any(
        place.startswith(f"{cell}/") and _stem(place) != cell for cell in cells
    )
    for place in _outermost([place for place in places if not inside(place)]):
        siblings[place.rpartition("/")[0]].append(place)
    chosen = []
    for found in siblings.values():
        kept = [place for place in found if _last(place) in STATES]
        chosen += kept or found
    return chosen


def _stem(place: str) -> str:
    """Return the module of which `place` is one of several outputs."""
    return re.sub(r"(/\d+)+$", "", place.partition("#")[0])


def _last(place: str) -> str:
    return re.split(r"[#\[]", place.rpartition("/")[2])[0]


def _outermost(places: Sequence[str]) -> list[str]:
    return [p for p in places if not any(p in _below(q, places) for q in places)]


def _below(place: str, places: Sequence[str]) -> list[str]:
    """Return the places inside of `place`."""
    path = place.partition("[")[0] + "/"
    return [other for other in places if other.startswith(path)]
