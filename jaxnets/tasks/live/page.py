"""A static page on which a trained network answers what a person draws or writes."""

import json
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any, Literal


# The title of each page, and the script of its network.
PAGES = {
    "sketch": ("Draw with the network", "lstm"),
    "characters": ("Write with the network", "lstm"),
    "digits": ("Draw a digit", "resnet"),
}


def live_page(
    kind: Literal["sketch", "characters", "digits"],
    weights: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> str:
    """Return a page in HTML that holds all it needs and requests nothing.

    Args:
        kind: What a person makes: strokes or a text, which the network continues, or a
            digit, which it names.
        weights: As `lstm_weights` returns them; for digits as `resnet_weights` does.
        settings: What the script of the page needs to know, in the form of JSON.

    Example:
        >>> "DOCTYPE" in live_page("sketch", {}, {}).upper()
        True
    """
    title, network = PAGES[kind]
    scripts = [_resource(f"scripts/{name}.js") for name in ("shared", network, kind)]
    data = json.dumps({"weights": weights, "settings": settings}, allow_nan=False)
    return Template(_resource("page.html")).substitute(
        title=title,
        style=_resource("page.css"),
        body=_resource(f"{kind}.html"),
        # No text of the data may end the element that it stands in.
        data=data.replace("<", r"\u003c"),
        script="".join(scripts),
    )


def _resource(name: str) -> str:
    return files("jaxnets.tasks.live").joinpath(name).read_text(encoding="utf-8")
