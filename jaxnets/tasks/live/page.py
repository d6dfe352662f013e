"""A static page on which a trained LSTM continues what a person draws or writes."""

import json
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any, Literal


TITLES = {
    "sketch": "Draw with the network",
    "characters": "Write with the network",
}


def live_page(
    kind: Literal["sketch", "characters"],
    weights: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> str:
    """Return a page in HTML that holds all it needs and requests nothing.

    Args:
        kind: What the network continues: strokes or a text.
        weights: As `lstm_weights` returns them.
        settings: What the script of the page needs to know, in the form of JSON.

    Example:
        >>> "DOCTYPE" in live_page("sketch", {}, {}).upper()
        True
    """
    data = json.dumps({"weights": weights, "settings": settings}, allow_nan=False)
    return Template(_resource("page.html")).substitute(
        title=TITLES[kind],
        style=_resource("page.css"),
        body=_resource(f"{kind}.html"),
        # No text of the data may end the element that it stands in.
        data=data.replace("<", r"\u003c"),
        script=_resource("scripts/lstm.js") + _resource(f"scripts/{kind}.js"),
    )


def _resource(name: str) -> str:
    return files("jaxnets.tasks.live").joinpath(name).read_text(encoding="utf-8")
