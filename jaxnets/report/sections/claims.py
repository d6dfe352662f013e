"""The nine claims of the literature that the study of theory measures, as plots."""

from typing import NamedTuple

from jaxnets.report.charts.axes import Axes
from jaxnets.report.charts.figures import Plot


class Claim(NamedTuple):
    """A claim of the literature: its short name, its plot and its source."""

    name: str
    plot: Plot
    source: str


CLAIMS = {
    "he": Claim(
        "Initialiser",
        Plot(
            "initialiser-scale",
            "1. He's initialiser keeps the signal, 1/n loses it",
            "Root mean square of the signal, and norm of the gradient, after a number "
            "of ReLU layers, relative to the start. With weights of variance 1/n each "
            "layer multiplies both by 1/√2; He's 2/n makes up for this factor.",
            Axes("ReLU layers passed", "size (log10)"),
        ),
        "He et al. 2015",
    ),
    "chi": Claim(
        "chi_1",
        Plot(
            "chi-slope",
            "2. The factor chi_1 sets the rate of tanh networks",
            "Slope of the logarithm of the squared gradient, per layer. Below 0 the "
            "gradient vanishes (ordered phase), above 0 it explodes (chaotic phase).",
            Axes(
                "standard deviation of weights, times √n", "nats per layer", bars=True
            ),
        ),
        "Schoenholz et al. 2017",
    ),
    "residual": Claim(
        "Residual growth",
        Plot(
            "residual-growth",
            "3. Plain networks lose exponentially, residual ones do not",
            "Change of the logarithm of the squared gradient over a number of layers "
            "or blocks. A straight line is an exponential; the residual line bends.",
            Axes("layers or blocks", "squared gradient (nats)"),
        ),
        "Yang and Schoenholz 2017",
    ),
    "shattering": Claim(
        "Shattering",
        Plot(
            "shattering",
            "4. Shattered gradients: 1/2^L, or 1/√L with shortcuts",
            "Correlation of the gradients of different inputs. Near 0 they look like "
            "white noise. Predictions: 1/2^L for plain and 0.75/√L for residual "
            "networks; dotted: computed block by block.",
            Axes("depth L", "correlation", log=True, bars=True),
        ),
        "Balduzzi et al. 2017",
    ),
    "path": Claim(
        "Path length",
        Plot(
            "effective-path-length",
            "5. Gradients take short paths through residual blocks",
            "Mean number of branches on the paths that carry the gradient: n ε/(1 + ε) "
            "where branches add up, n ε²/(1 + ε²) where random ones partly cancel.",
            Axes("strength ε of a branch", "branches", bars=True),
        ),
        "Veit et al. 2016",
    ),
    "rnn": Claim(
        "RNN",
        Plot(
            "rnn-slope",
            "6. An RNN forgets by its gain and by its saturation",
            "Slope of the gradient's logarithm per step back in time. A gain above 1 "
            "is necessary for an explosion but not sufficient: inputs saturate units.",
            Axes("gain of the orthogonal recurrent matrix", "nats per step", bars=True),
        ),
        "Pascanu et al. 2013",
    ),
    "forget": Claim(
        "Forget bias",
        Plot(
            "forget-bias",
            "7. The forget bias sets the memory of an LSTM",
            "Slope of the logarithm of dL/dc: along the direct path alone, where it is "
            "log σ(b), and along all paths, with those through the recurrent weights.",
            Axes("bias b of the forget gate", "nats per step", bars=True),
        ),
        "Gers et al. 2000; Jozefowicz et al. 2015",
    ),
    "lyapunov": Claim(
        "Lyapunov exponent",
        Plot(
            "lyapunov-exponent",
            "8. Gradients grow at the largest Lyapunov exponent",
            "Measured: slope of the gradient's logarithm per step back in time. "
            "Theory: the exponent of the same network, measured forwards. It changes "
            "sign at a gain of 1, where random networks become chaotic.",
            Axes("gain of the Gaussian recurrent matrix", "nats per step", bars=True),
        ),
        "Sompolinsky et al. 1988; Vogt et al. 2020",
    ),
    "width": Claim(
        "Finite width",
        Plot(
            "finite-width",
            "9. Narrow networks scatter by 5 Σ 1/n",
            "Variance over networks of the logarithm of the squared gradient, and its "
            "mean times −2. Both are predicted to be 5 Σ 1/n to leading order in 1/n; "
            "dotted: to all orders.",
            Axes("5 Σ 1/n over layers of width n", "nats (squared)", bars=True),
        ),
        "Hanin and Nica 2018",
    ),
}
