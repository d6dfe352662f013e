"""`tap`: the identity whose cotangent is summarised while it passes back.

This is the one thing that both `functional` and `gradflow` need, so it lives below
both.
"""

from jaxnets.tap.branches import branch as branch
from jaxnets.tap.statistics import SATURATED as SATURATED
from jaxnets.tap.statistics import ResponseStats as ResponseStats
from jaxnets.tap.statistics import TapStats as TapStats
from jaxnets.tap.taps import Key as Key
from jaxnets.tap.taps import Passage as Passage
from jaxnets.tap.taps import Recording as Recording
from jaxnets.tap.taps import Tapped as Tapped
from jaxnets.tap.taps import call_number as call_number
from jaxnets.tap.taps import listening as listening
from jaxnets.tap.taps import plain_names as plain_names
from jaxnets.tap.taps import recording as recording
from jaxnets.tap.taps import scope as scope
from jaxnets.tap.taps import tap as tap
from jaxnets.tap.taps import taps_by_hand as taps_by_hand
