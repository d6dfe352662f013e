"""`picture(kind)`: a healthy and a sick network for each kind of verdict."""

from collections.abc import Callable

import curves
import layers
from drawing import Picture, draw
from IPython.display import HTML


PICTURES: dict[str, Callable[[], Picture]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        layers.vanishing,
        layers.exploding,
        layers.saturated,
        layers.dead,
        layers.shattered,
        layers.detached,
        layers.rank_collapse,
        layers.healthy,
        curves.non_finite,
        curves.wrong_backward,
        curves.wrong_loss,
        curves.rate_too_high,
        curves.rate_too_low,
        curves.rate_falls,
        curves.padding,
    )
}


def picture(kind: str) -> HTML:
    """Return the picture of a verdict as an image with a description."""
    return draw(PICTURES[kind]())
