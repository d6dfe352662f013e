"""The plots of the study of depth: what each shows and how to read it."""

from jaxnets.report.charts.axes import Axes
from jaxnets.report.charts.figures import Plot
from jaxnets.report.sections.gradients import LOG_NORM
from jaxnets.runs.intervals import NOT_NEGATIVE, SHARE, SIGNED_SHARE


BLOCK = "block, counted from the input"
DEPTH = "depth (layers)"

BY_BLOCK = Plot(
    "gradient-by-block",
    "Gradient by block, before training",
    "The loss is at the right. A line that falls to the left is a gradient that "
    "shrinks on its way to the input, tenfold with each unit. Dashed: theory's "
    "prediction. Block 0 is the first layer.",
    Axes(BLOCK, LOG_NORM),
)
FIRST_LAYER = Plot(
    "first-layer-gradient",
    "Gradient at the first layer, against depth",
    "A line that falls to the right means that less gradient reaches the first layer "
    "of a deeper network. A straight line on this scale is exponential decay.",
    Axes(DEPTH, LOG_NORM, bars=True),
)
EXPLORER = Plot(
    "gradient-explorer",
    "Gradient by block, at any moment",
    "Choose networks, depth and training step; point at a line to read its values. "
    "Theory's line, and its band between dotted edges, are shown only before training, "
    "at the left end of the slider. The vertical axis is the same for all choices.",
    Axes(BLOCK, LOG_NORM),
    kind="explorer",
    size="depth",
)
HEAT_MAP = Plot(
    "gradient-over-training",
    "Gradient by block, over training",
    "Training goes from left to right, with one column for each recorded update; more "
    "of them are recorded at the start. The input is at the bottom, the loss at the "
    "top. Dark cells get little gradient: blocks that stay dark hardly learn.",
    Axes(BLOCK, LOG_NORM),
    kind="heat map",
    size="depth",
)
DURING_TRAINING = Plot(
    "gradient-during-training",
    "Gradient at the first layer during training",
    "While the line stays level, the first layer keeps learning; where it is far down, "
    "the first layer hardly changes.",
    Axes("updates", LOG_NORM),
)
RESPONSE = Plot(
    "response-by-block",
    "Scale of the responses by block, before training",
    "Standard deviation of the output of each block. In healthy networks it stays of "
    "the same order from block to block. If it grows or shrinks on the way forwards, "
    "so does the gradient on the way back.",
    Axes(BLOCK, "standard deviation", bounds=NOT_NEGATIVE, log=True),
)
CORRELATION = Plot(
    "gradient-correlation",
    "Similarity of the gradients of similar inputs",
    "1: similar inputs ask for the same change of the weights. 0: their gradients are "
    "as unlike as noise (shattered gradients) and cancel in the mean over a batch.",
    Axes(DEPTH, "gradient correlation", bounds=SIGNED_SHARE, bars=True),
)
PATH_LENGTH = Plot(
    "path-length",
    "Effective path length of the gradient",
    "How many blocks the gradient passes through on its way, on average. In a plain "
    "network it passes through all of them; with shortcut connections most of it takes "
    "short paths.",
    Axes(DEPTH, "blocks passed", bounds=NOT_NEGATIVE, bars=True),
)
LESION = Plot(
    "lesion-profile",
    "Change of the loss when a block is left out, after training",
    "Each point is a network without one block. With shortcut connections most blocks "
    "hardly matter alone; a plain network needs each of them. The first block of a "
    "stage that halves the image is never left out, so its change is 0.",
    Axes(BLOCK, "change of the validation loss (nats)"),
)
CONTRIBUTION = Plot(
    "block-contribution",
    "Contribution of each block, after training",
    "The norm of what the branch adds, relative to that of what the shortcut carries, "
    "|F(x)| / |x|. Blocks near 0 have little to do: a shallower network would do.",
    Axes(BLOCK, "|F(x)| / |x|", bounds=NOT_NEGATIVE),
)
FORWARD_GAIN = Plot(
    "forward-gain",
    "Composite gain of hyper-connections, forward",
    "By how much the product of the mixings of the first blocks can amplify a stream "
    "(log10). With the constraint of mHC it stays at 0. A line that rises can make the "
    "responses explode with depth.",
    Axes(BLOCK, "composite gain (log10)"),
)
BACKWARD_GAIN = Plot(
    "backward-gain",
    "Composite gain of hyper-connections, backward",
    "The same for the gradient on its way back through these blocks.",
    Axes(BLOCK, "composite gain (log10)"),
)
ACCURACY = Plot(
    "validation-accuracy",
    "Learning: validation accuracy",
    "Share of held-out examples that are classified correctly. Higher and earlier is "
    "better.",
    Axes("updates", "validation accuracy", bounds=SHARE, share=True),
)
LOSS = Plot(
    "validation-loss",
    "Learning: validation loss",
    "Cross-entropy on held-out examples, in nats. Lower is better; a line that stays "
    "level from the start belongs to a network that does not learn.",
    Axes("updates", "validation loss (nats)", bounds=NOT_NEGATIVE, log=True),
)
TEST_ACCURACY = Plot(
    "test-accuracy",
    "Test accuracy, against depth",
    "If more depth never hurt, no line would fall to the right.",
    Axes(DEPTH, "test accuracy", bounds=SHARE, share=True, bars=True),
)
