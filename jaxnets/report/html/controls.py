"""The controls above the charts of a figure: checkboxes, lists and sliders."""

from collections.abc import Iterable

from jaxnets.report.charts.controls import Control
from jaxnets.report.html.markup import Markup, escape, join, tag


def controls_html(controls: Iterable[Control], swatches: dict[str, Markup]) -> Markup:
    """Return the controls as HTML; those with a single value are left out.

    Args:
        controls: The controls of a figure.
        swatches: The legend's swatch of each value that has one, by the value's text.
    """
    shown = [_control(c, swatches) for c in controls if len(c.values) > 1]
    return tag("div", *shown, class_="controls") if shown else Markup("")


def _control(control: Control, swatches: dict[str, Markup]) -> Markup:
    if control.initial is None:
        return _checkboxes(control, swatches)
    make = _slider if control.slider else _list
    return tag("label", tag("span", control.label.capitalize()), make(control))


def _checkboxes(control: Control, swatches: dict[str, Markup]) -> Markup:
    boxes = (
        tag(
            "label",
            tag("input", type="checkbox", value=value, checked=""),
            swatches.get(text, ""),
            text,
        )
        for value, text in zip(control.values, control.texts, strict=True)
    )
    return tag(
        "fieldset",
        tag("legend", control.label.capitalize()),
        *boxes,
        data_parameter=control.parameter,
    )


def _list(control: Control) -> Markup:
    options = (
        tag("option", text, value=value, selected="" if n == control.initial else None)
        for n, (value, text) in enumerate(
            zip(control.values, control.texts, strict=True)
        )
    )
    return tag("select", *options, data_parameter=control.parameter)


def _slider(control: Control) -> Markup:
    """Return a slider over the indices of the values, which are unevenly spaced."""
    text = control.initial_text()
    slider = tag(
        "input",
        type="range",
        min=0,
        max=len(control.values) - 1,
        value=control.initial,
        aria_valuetext=text,
        data_parameter=control.parameter,
        data_values=" ".join(f"{value}" for value in control.values),
        data_texts="|".join(control.texts),
    )
    return join([slider, tag("output", escape(text))])
