"""Identity functions with derivatives of their own, which several packages need.

`tap` summarises its cotangent, `branch` scales it, and `reverse_only` has none in
forward mode. Both `functional` and `gradflow` need them, so they are in a package below
both.
"""

from jaxnets.tap.branches import branch
from jaxnets.tap.forward_mode import reverse_only
from jaxnets.tap.logs import TapLog, logs_by_name, logs_in_order
from jaxnets.tap.marks import MARK, mark
from jaxnets.tap.statistics import SATURATED, ResponseStats, TapStats
from jaxnets.tap.taps import Tapped, tap, taps_by_hand
from jaxnets.tap.trace import (
    LogKey,
    Recording,
    is_measuring,
    module_call,
    note_by_hand,
    record_taps,
    scope,
    shows_taps,
    unmeasured,
    with_same_taps,
)


__all__ = [
    "MARK",
    "SATURATED",
    "LogKey",
    "Recording",
    "ResponseStats",
    "TapLog",
    "TapStats",
    "Tapped",
    "branch",
    "is_measuring",
    "logs_by_name",
    "logs_in_order",
    "mark",
    "module_call",
    "note_by_hand",
    "record_taps",
    "reverse_only",
    "scope",
    "shows_taps",
    "tap",
    "taps_by_hand",
    "unmeasured",
    "with_same_taps",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
