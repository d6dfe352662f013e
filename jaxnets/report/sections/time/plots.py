"""The plots of the study of time: what each shows and how to read it."""

from jaxnets.report.charts.axes import Axes
from jaxnets.report.charts.figures import Plot
from jaxnets.report.sections.gradients import LOG_NORM
from jaxnets.runs.intervals import NOT_NEGATIVE, SHARE


BACK = "steps back from the end"
BEFORE = Plot(
    "gradient-by-time-step-before",
    "Gradient by time step, before training",
    "The loss is at the left, and the past at the right. A straight line that falls is "
    "exponential forgetting. Dashed: theory's prediction.",
    Axes(BACK, LOG_NORM),
)
AFTER = Plot(
    "gradient-by-time-step-after",
    "Gradient by time step, after training",
    "In a network that has learnt the task, the right end of the line, where the early "
    "steps are, lies higher than before.",
    Axes(BACK, LOG_NORM),
)
EXPLORER = Plot(
    "gradient-explorer",
    "Gradient by time step, at any moment",
    "Choose networks, length and training step; point at a line to read its values. "
    "Theory's line is shown only before training, at the left end of the slider. The "
    "vertical axis is the same for all choices.",
    Axes(BACK, LOG_NORM),
    kind="explorer",
    size="length",
)
MAP = Plot(
    "gradient-over-training",
    "Gradient by time step, over training",
    "Training goes from left to right, with one column for each recorded update; more "
    "of them are recorded at the start. The end of the sequence is at the bottom, the "
    "past at the top. Dark cells get little gradient: a network that learns to "
    "remember lights up from the bottom to the top.",
    Axes(BACK, LOG_NORM),
    kind="heat map",
    size="length",
)
LOSS = Plot(
    "validation-loss",
    "Learning: validation loss",
    "Lower is better. A network that remembers nothing can still predict the mean. "
    "That gives a mean squared error of 1/6 ≈ 0.167 on the adding problem, and a loss "
    "of ln 8 = 2.08 nats on copying. A line that stays at this baseline belongs to a "
    "network that has not learnt to remember.",
    Axes("updates", "validation loss", bounds=NOT_NEGATIVE, log=True),
)
ACCURACY = Plot(
    "validation-accuracy",
    "Learning: validation accuracy",
    "Share of held-out sequences with a correct answer. Higher and earlier is better.",
    Axes("updates", "validation accuracy", bounds=SHARE, share=True),
)
