"""Identity functions with custom derivatives, which several packages need.

`tap` summarises its cotangent, `branch` scales it, and `reverse_only` has none in
forward mode. Both `functional` and `gradflow` need them, so they are in a package below
both.
"""

from jaxnets.tap.branches import branch
from jaxnets.tap.forward_mode import reverse_only
from jaxnets.tap.logs import TapLog, logs_by_name, logs_in_order
from jaxnets.tap.primitive import TAP
from jaxnets.tap.statistics import SATURATED, ResponseStats, TapStats
from jaxnets.tap.taps import Tapped, tap, taps_by_hand
from jaxnets.tap.trace import (
    LogKey,
    Recording,
    is_measuring,
    is_read,
    module_call,
    record_taps,
    scope,
    unmeasured,
    with_same_taps,
)


__all__ = [
    "SATURATED",
    "TAP",
    "LogKey",
    "Recording",
    "ResponseStats",
    "TapLog",
    "TapStats",
    "Tapped",
    "branch",
    "is_measuring",
    "is_read",
    "logs_by_name",
    "logs_in_order",
    "module_call",
    "record_taps",
    "reverse_only",
    "scope",
    "tap",
    "taps_by_hand",
    "unmeasured",
    "with_same_taps",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
