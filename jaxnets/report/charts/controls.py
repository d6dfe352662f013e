"""The choices that a reader has above the charts of a figure."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


# Names of the charts' parameters.
SIZE, STEP, FAMILIES = "chosen_size", "chosen_step", "chosen_families"


class Control(NamedTuple):
    """A parameter of a figure's charts and the values that a reader can choose.

    A chart contains the initial value, so it can also be drawn without the page;
    `page.js` sets the parameter to what the reader chooses.

    Attributes:
        parameter: Name of the parameter.
        label: What the reader chooses, such as `depth`.
        values: The values to choose from, in order.
        texts: The text of each value.
        initial: Index of the value that is chosen at first. With None the reader can
            choose several values, and all of them are chosen at first.
        slider: Whether the control is a slider; otherwise it is a list.
    """

    parameter: str
    label: str
    values: Sequence[float | str]
    texts: Sequence[str]
    initial: int | None
    slider: bool = False

    def initial_value(self) -> Any:
        """Return the parameter's value before the reader chooses."""
        return list(self.values) if self.initial is None else self.values[self.initial]

    def initial_text(self) -> str:
        """Return the text of the initial value."""
        if self.initial is None:
            return ", ".join(self.texts)
        return self.texts[self.initial]


def size_control(name: str, values: Iterable[float]) -> Control:
    """Return the choice of a size; the largest is chosen at first."""
    ordered = sorted(set(values))
    texts = [f"{value:g}" for value in ordered]
    return Control(SIZE, name, ordered, texts, len(ordered) - 1)


def step_control(values: Iterable[int]) -> Control:
    """Return the choice of a training step; the first is chosen at first.

    Theory predicts the networks before training only.
    """
    ordered = sorted(set(values))
    texts = [
        f"after {step:,} update{'' if step == 1 else 's'}"
        if step
        else "before training"
        for step in ordered
    ]
    return Control(STEP, "training step", ordered, texts, 0, slider=True)


def family_control(names: Sequence[str]) -> Control:
    """Return the choice of networks; all are chosen at first."""
    return Control(FAMILIES, "networks", names, names, None)


def vega_parameters(controls: Iterable[Control]) -> list[dict[str, Any]]:
    """Return the parameters of a chart as Vega-Lite describes them."""
    return [{"name": c.parameter, "value": c.initial_value()} for c in controls]
