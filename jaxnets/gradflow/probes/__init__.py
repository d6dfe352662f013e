"""Questions about a loss that its taps do not answer: each runs the program once more.

- `forward`: dead and saturated units after every activation, and how many directions
  the arrays at the taps have.
- `custom`: whether derivatives that the user wrote are right.
- `padding`: the share of the gradient that goes to padded steps.

`replay` runs a traced loss equation by equation; `recording` makes records of the
answers, for `jaxnets.gradflow.evidence`.
"""

from jaxnets.gradflow.probes.recording import make_probes


__all__ = ["make_probes"]
