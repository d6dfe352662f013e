"""The claims of the study `theory`: one row for each, in the order of their numbers.

How a claim is measured is in `jaxnets.studies.theory`; everything else about it, what
is claimed, when it counts as met and how its figure is labelled, is here.
"""

from typing import NamedTuple


class Claim(NamedTuple):
    """A claim of the literature about gradients at initialisation.

    Attributes:
        name: Short name, as tables show it.
        statement: The claim in a sentence.
        source: Where it is published.
        title: Heading of its figure.
        reading: How to read its figure.
        figure: Name of its figure in file names.
        x_axis: Title of the horizontal axis.
        y_axis: Title of the vertical axis.
        varied: What the networks of a line differ in, as in `at gain 2`.
        unit: Unit of the measured numbers; empty if they have none.
        tolerance: How far a mean over seeds may lie from the prediction.
        relative_tolerance: The same as a fraction of the prediction. The larger of
            both counts.
        refinement: What the refined prediction takes into account; empty if there is
            none.
        continuous: Whether the horizontal axis takes many values, so that intervals
            are drawn as bands and not as bars.
        log: Whether the vertical axis may become logarithmic.
    """

    name: str
    statement: str
    source: str
    title: str
    reading: str
    figure: str
    x_axis: str
    y_axis: str
    varied: str
    unit: str
    tolerance: float
    relative_tolerance: float = 0.0
    refinement: str = ""
    continuous: bool = False
    log: bool = False


CLAIMS = {
    "he": Claim(
        name="Initialiser",
        statement="With He's initialiser ReLU layers keep the signal and the gradient; "
        "with variance 1/n they lose a factor of 1.41 per layer.",
        source="He et al. 2015",
        title="He's initialiser keeps the signal, 1/n loses it",
        reading="Root mean square of the signal, and norm of the gradient, after a "
        "number of ReLU layers, relative to the start. With weights of variance 1/n "
        "each layer multiplies both by 1/√2; He's 2/n makes up for this factor.",
        figure="initialiser-scale",
        x_axis="ReLU layers passed",
        y_axis="size (log10)",
        varied="layer",
        unit="decades",
        tolerance=0.13,
        continuous=True,
    ),
    "chi": Claim(
        name="chi_1",
        statement="In tanh networks a squared gradient changes by the factor chi_1 "
        "per layer.",
        source="Schoenholz et al. 2017",
        title="The factor chi_1 sets the rate of tanh networks",
        reading="Slope of the logarithm of the squared gradient, per layer. Below 0 "
        "the gradient vanishes (ordered phase), above 0 it explodes (chaotic phase).",
        figure="chi-slope",
        x_axis="standard deviation of weights, times √n",
        y_axis="nats per layer",
        varied="gain",
        unit="nats per layer",
        tolerance=0.03,
    ),
    "residual": Claim(
        name="Residual growth",
        statement="The gradient of plain tanh networks falls exponentially with depth, "
        "that of residual ones grows slower than any exponential.",
        source="Yang and Schoenholz 2017",
        title="Plain networks lose exponentially, residual ones do not",
        reading="Change of the logarithm of the squared gradient over a number of "
        "layers or blocks. A straight line is an exponential; the residual line bends.",
        figure="residual-growth",
        x_axis="layers or blocks",
        y_axis="squared gradient (nats)",
        varied="layer",
        unit="nats",
        tolerance=0.3,
        relative_tolerance=0.15,
        continuous=True,
    ),
    "shattering": Claim(
        name="Shattering",
        statement="The gradients of two inputs have the correlation 1/2^L in plain "
        "networks, and 0.75/sqrt(L) in residual ones.",
        source="Balduzzi et al. 2017",
        title="Shattered gradients: 1/2^L, or 1/√L with shortcuts",
        reading="Correlation of the gradients of different inputs. Near 0 they look "
        "like white noise. Predictions: 1/2^L for plain and 0.75/√L for residual "
        "networks; dotted: computed block by block.",
        figure="shattering",
        x_axis="depth L",
        y_axis="correlation",
        varied="depth",
        unit="",
        tolerance=0.02,
        refinement="counting block by block, and without the mean of ReLU that "
        "BatchNorm takes away",
        log=True,
    ),
    "path": Claim(
        name="Path length",
        statement="The gradient of n residual blocks of strength eps passes "
        "n eps / (1 + eps) branches, or n eps^2 / (1 + eps^2) where random branches "
        "cancel.",
        source="Veit et al. 2016",
        title="Gradients take short paths through residual blocks",
        reading="Mean number of branches on the paths that carry the gradient: "
        "n ε/(1 + ε) where branches add up, n ε²/(1 + ε²) where random ones partly "
        "cancel.",
        figure="effective-path-length",
        x_axis="strength ε of a branch",
        y_axis="branches",
        varied="strength",
        unit="branches",
        tolerance=0.5,
    ),
    "rnn": Claim(
        name="RNN",
        statement="The logarithm of an RNN's gradient changes by log g per step at "
        "rest, and by less where input pushes its units into saturation.",
        source="Pascanu et al. 2013",
        title="An RNN forgets by its gain and by its saturation",
        reading="Slope of the gradient's logarithm per step back in time. A gain above "
        "1 is necessary for an explosion but not sufficient: inputs saturate units.",
        figure="rnn-slope",
        x_axis="gain of the orthogonal recurrent matrix",
        y_axis="nats per step",
        varied="gain",
        unit="nats per step",
        tolerance=0.005,
    ),
    "forget": Claim(
        name="Forget bias",
        statement="Along the direct path through an LSTM's cell the logarithm of the "
        "gradient changes by log sigmoid(b) per step.",
        source="Gers et al. 2000; Jozefowicz et al. 2015",
        title="The forget bias sets the memory of an LSTM",
        reading="Slope of the logarithm of dL/dc: along the direct path alone, where "
        "it is log σ(b), and along all paths, with those through the recurrent "
        "weights.",
        figure="forget-bias",
        x_axis="bias b of the forget gate",
        y_axis="nats per step",
        varied="bias",
        unit="nats per step",
        tolerance=0.01,
    ),
    "lyapunov": Claim(
        name="Lyapunov exponent",
        statement="The gradient of a random RNN grows at its largest Lyapunov "
        "exponent, which passes 0 at a gain of 1.",
        source="Sompolinsky et al. 1988; Vogt et al. 2020",
        title="Gradients grow at the largest Lyapunov exponent",
        reading="Measured: slope of the gradient's logarithm per step back in time. "
        "Theory: the exponent of the same network, measured forwards. It changes sign "
        "at a gain of 1, where random networks become chaotic.",
        figure="lyapunov-exponent",
        x_axis="gain of the Gaussian recurrent matrix",
        y_axis="nats per step",
        varied="gain",
        unit="nats per step",
        tolerance=0.01,
    ),
    "width": Claim(
        name="Finite width",
        statement="The logarithm of a squared gradient scatters over ReLU networks "
        "with variance 5 sum 1/n.",
        source="Hanin and Nica 2018",
        title="Narrow networks scatter by 5 Σ 1/n",
        reading="Variance over networks of the logarithm of the squared gradient, and "
        "its mean times −2. Both are predicted to be 5 Σ 1/n to leading order in 1/n; "
        "dotted: to all orders.",
        figure="finite-width",
        x_axis="5 Σ 1/n over layers of width n",
        y_axis="nats (squared)",
        varied="5 sum 1/n =",
        unit="nats squared",
        tolerance=0.0,
        relative_tolerance=0.1,
        refinement="beyond the leading order in 1/n",
    ),
    "memory": Claim(
        name="Curse of memory",
        statement="A linear unit with a memory of m = 1/(1 - lambda^2) steps is "
        "sensitive to lambda like m^(3/2); a normalised input and an exponential "
        "parametrisation take away 1/2 and 1 of this power.",
        source="Zucchet and Orvieto 2024",
        title="A longer memory makes a unit more sensitive, even if it is stable",
        reading="Root mean square of the derivative of the state by the unit's "
        "parameter, for white input. Both axes are logarithmic, so a power of the "
        "memory is a straight line: 3/2 for λ itself, 1 with the input scaled by "
        "√(1 − λ²), 1/2 with λ = exp(−exp(ν)), and 0 with both.",
        figure="curse-of-memory",
        x_axis="memory, as a power of two (7 means 128 steps)",
        y_axis="sensitivity (log10)",
        varied="power",
        unit="decades",
        tolerance=0.05,
    ),
}
