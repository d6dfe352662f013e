"""Which parts of a user's network follow each other, and which are alike, by name."""

import re
from collections import defaultdict
from collections.abc import Sequence

from jaxnets.gradflow.diagnosis.table import Table, module_of


# The metric that every parameter array has.
ARRAYS = "log10_array_gradient_norm"
# The largest gradient after a few updates, of those that have none at first.
WOKEN = "log10_woken_gradient_norm"
# A rate needs at least three positions.
SHORTEST = 3
# Names of the states of a recurrent layer. Its gates show the same loss of gradient.
STATES = ("h", "c")


def chains(taps: Sequence[str]) -> list[list[str]]:
    """Return series of taps whose gradients can be compared, the network itself first.

    The network is the series of its outermost modules, or of what is inside them if
    those are fewer than three. After it come the taps that have the same role in
    repeated parts, such as `blocks/*/conv`, unless the first series has them.

    Args:
        taps: Names of taps in the order of the forward pass. A tap whose name continues
            that of another after a slash is inside it.

    Returns:
        Series of at least two taps, in the order of the forward pass.

    Example:
        >>> chains(["stem", "blocks/0/conv", "blocks/0", "blocks/1/conv", "blocks/1"])
        [['stem', 'blocks/0', 'blocks/1']]
        >>> chains(["net/0", "net/1", "net/2", "net/3", "net"])
        [['net/0', 'net/1', 'net/2', 'net/3']]
    """
    rest = [tap for tap in taps if tap != "__call__"]
    network = _outermost(rest)
    while len(network) < SHORTEST:
        # Replace each module of the series that has taps inside it by those taps.
        opened = [t for t in rest if t not in network or not _inside(t, rest)]
        if _outermost(opened) == network:
            break
        rest, network = opened, _outermost(opened)
    network = network or list(taps)
    roles: defaultdict[str, list[str]] = defaultdict(list)
    for tap in taps:
        roles[role(tap)].append(tap)
    repeated = [
        series
        for series in roles.values()
        if len(series) >= SHORTEST and not set(series) <= set(network)
    ]
    return [network, *repeated] if len(network) >= 2 else repeated


def role(tap: str) -> str:
    """Return the role of a tap in the part of the network that it belongs to.

    Numbers count the parts. In the last name they do so only if it is a number.

    Example:
        >>> role("blocks/0/conv2"), role("block1/norm"), role("layers/3#2")
        ('blocks/*/conv2', 'block*/norm', 'layers/*')
    """
    above, slash, last = tap.partition("#")[0].rpartition("/")
    return re.sub(r"\d+", "*", above) + slash + re.sub(r"^\d+$", "*", last)


def states(taps: Sequence[str]) -> list[str]:
    """Return the taps in time loops to judge: outermost ones, and states, not gates.

    Example:
        >>> states(["rnn/i", "rnn/f", "rnn/c", "rnn/h", "other/cell"])
        ['rnn/c', 'rnn/h', 'other/cell']
        >>> states(["cell/dense_i", "cell/dense_h", "cell/0/0", "cell/0/1"])
        ['cell/0/0', 'cell/0/1']
    """
    siblings: defaultdict[str, list[str]] = defaultdict(list)
    # The outputs of a cell with several outputs are `cell/0/0` and `cell/0/1`. Other
    # taps below `cell` are inside it.
    cells = {module for tap in taps if (module := _module(tap)) != tap}
    is_inside = lambda tap: any(
        tap.startswith(f"{cell}/") and _module(tap) != cell for cell in cells
    )
    for tap in _outermost([tap for tap in taps if not is_inside(tap)]):
        siblings[tap.rpartition("/")[0]].append(tap)
    chosen = []
    for found in siblings.values():
        chosen += [tap for tap in found if _last(tap) in STATES] or found
    return chosen


def _module(tap: str) -> str:
    """Return the module that has `tap` as one of several outputs, or `tap` itself."""
    return re.sub(r"(/\d+)+$", "", tap.partition("#")[0])


def _last(tap: str) -> str:
    return re.split(r"[#\[]", tap.rpartition("/")[2])[0]


def _outermost(taps: Sequence[str]) -> list[str]:
    return [t for t in taps if not any(t in _inside(other, taps) for other in taps)]


def _inside(tap: str, taps: Sequence[str]) -> list[str]:
    """Return the taps inside `tap`."""
    path = tap.partition("[")[0] + "/"
    return [other for other in taps if other.startswith(path)]


def is_last_of_its_kind(arrays: list[str], records: Table) -> bool:
    """Return whether each array is in the last of several like parts that learn.

    The residual convolution in the last block of a WaveNet has no block after it.
    """

    def is_last(array: str) -> bool:
        siblings = [
            other
            for other in records.places(ARRAYS)
            if other not in arrays and role(module_of(other)) == role(module_of(array))
        ]
        numbers = lambda name: [int(digits) for digits in re.findall(r"\d+", name)]
        return bool(siblings) and all(numbers(o) < numbers(array) for o in siblings)

    return all(map(is_last, arrays))


def is_idle(array: str, zero: list[str], records: Table) -> bool:
    """Return whether a similar part beside this one, such as an expert, has a gradient.

    Layers that follow each other are similar too, but their taps are in one chain.
    """
    places, chained = records.places(ARRAYS), records.places("chain")

    def chains_in(part: str) -> set[float]:
        taps = [t for t in chained if f"{t.partition('#')[0]}/".startswith(f"{part}/")]
        return {number for t in taps for number in records.seeds("chain", t).values()}

    module = module_of(array)
    for other in places if chained else ():
        beside = module_of(other)
        if other in zero or beside == module or role(beside) != role(module):
            continue
        names = array.split("/"), other.split("/")
        size = next(
            n for n, pair in enumerate(zip(*names, strict=False), 1) if len({*pair}) > 1
        )
        mine, theirs = ("/".join(parts[:size]) for parts in names)
        inside = [a for a in places if a.startswith(f"{mine}/")]
        if set(inside) <= set(zero) and not chains_in(mine) & chains_in(theirs):
            return True
    return False
