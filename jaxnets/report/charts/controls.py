"""What a reader can choose above the charts of a figure."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


# Names of the charts' parameters.
SIZE, STEP, FAMILIES = "chosen_size", "chosen_step", "chosen_families"


class Control(NamedTuple):
    """A parameter of a figure's charts, and the values that it can be given.

    The charts hold the first choice themselves, so that they can be drawn without a
    page; `page.js` sets the parameter to what the reader chooses.

    Attributes:
        parameter: Name of the parameter.
        label: What the reader chooses, such as `depth`.
        values: What can be chosen, in order.
        texts: How each value is written.
        chosen: Which of them is chosen first; None if any number of them can be, and
            all are first.
        slider: Whether it is a slider; else it is a list.
    """

    parameter: str
    label: str
    values: Sequence[float | str]
    texts: Sequence[str]
    chosen: int | None
    slider: bool = False

    def first(self) -> Any:
        """Return the parameter's value before anything is chosen."""
        return list(self.values) if self.chosen is None else self.values[self.chosen]

    def text(self) -> str:
        """Return how the first choice is written."""
        return ", ".join(self.texts) if self.chosen is None else self.texts[self.chosen]


def sizes(name: str, values: Iterable[float]) -> Control:
    """Return the choice of a size, first the largest, where most is to be seen."""
    ordered = sorted(set(values))
    texts = [f"{value:g}" for value in ordered]
    return Control(SIZE, name, ordered, texts, len(ordered) - 1)


def steps(values: Iterable[int]) -> Control:
    """Return the choice of a training step, at first the first, where theory speaks."""
    ordered = sorted(set(values))
    texts = [
        f"after {step:,} update{'' if step == 1 else 's'}"
        if step
        else "before training"
        for step in ordered
    ]
    return Control(STEP, "training step", ordered, texts, 0, slider=True)


def families(names: Sequence[str]) -> Control:
    """Return the choice of networks, first all of them."""
    return Control(FAMILIES, "networks", names, names, None)


def parameters(controls: Iterable[Control]) -> list[dict[str, Any]]:
    """Return the parameters of a chart, as Vega-Lite describes them."""
    return [{"name": c.parameter, "value": c.first()} for c in controls]
