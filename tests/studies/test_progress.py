"""The progress display: count and time left on terminals of any width."""

import io
import re

import pytest
from rich.console import Console

from jaxnets.studies.arm import Arm
from jaxnets.studies.progress import RunProgress


@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_count_and_time_left_are_shown_and_nothing_wraps(width):
    arms = [
        Arm("depth", "residual-bn-110", "residual + BatchNorm", 110.0, {}),
        Arm("overfitting", "dropout-0.5", "dropout 0.5", 0.5, {}),
        Arm("[/x]", "\x1b[31mred", "red", 1.0, {}),
    ]
    screen = io.StringIO()
    console = Console(file=screen, width=width, color_system=None)
    progress = RunProgress(console, arms=14, done=3)
    for arm in arms:
        progress.begin(arm)
    for epoch in (1, 2, 3):
        progress.epoch(arms[0], epoch, 100, 0.00123, 0.8123)
        progress.epoch(arms[1], epoch, 40, 123456.0, 1.0)
    console.print(progress.renderable)
    lines = screen.getvalue().splitlines()
    assert len(lines) == 4 and max(map(len, lines)) <= width
    run, first, second, third = lines
    time = r"(\d+:)?\d\d:\d\d left"
    assert re.match(rf"all arms .*3/14 .*{time}", run)
    assert re.match(rf"depth: residual-bn-110 .*3/100 .*{time} loss 0.001", first)
    assert re.match(rf"overfitting: dropout-0.5 .*3/40 .*{time} loss 1.2", second)
    assert third.startswith(r"[/x]: \x1b[31mred ") and "compiling" in third
    assert ("accuracy 81.2%" in first) == (width >= 80)


def test_the_end_of_an_arm_is_printed_as_text():
    arm = Arm("[/x]", "a", "a", 1.0, {})
    screen = io.StringIO()
    progress = RunProgress(Console(file=screen, width=80), arms=1, done=0)
    progress.begin(arm)
    progress.epoch(arm, 1, 4, 1.0, 0.5)
    progress.end(arm, 1.5, "the loss is [/inf]\x1b[31m")
    said = screen.getvalue()
    assert "[/x]: a" in said and r"stopped: the loss is [/inf]\x1b[31m" in said
    Console(file=screen, width=80).print(progress.renderable)
    assert "1/1" in screen.getvalue()
