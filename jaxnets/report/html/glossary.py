"""The words that a reader new to the topic needs, in a sentence or two each."""

from jaxnets.report.html.markup import Markup, tag


WORDS = {
    "Gradient": "How the loss changes when a number in the network changes a little. "
    "Training follows it downhill, so a part of the network without gradient does not "
    "learn. Its norm is its length.",
    "Backpropagation": "The gradient is computed from the loss backwards, layer by "
    "layer; in a recurrent network step by step into the past.",
    "Vanishing and exploding": "Each layer or time step multiplies the gradient. "
    "Factors below one make it vanish on its way back, factors above one make it "
    "explode; both do so exponentially fast.",
    "Shortcut connection": "Adds a block's input to its output, so that the gradient "
    "has a way around the block. Networks with them are residual networks; those "
    "without are plain.",
    "BatchNorm": "Batch normalisation: shifts and scales each feature to mean zero and "
    "variance one over the batch.",
    "Gate": "A factor between 0 and 1 that the network computes itself. GRU and LSTM "
    "decide by gates what to keep, and a gate near 1 passes state and gradient on "
    "unchanged.",
    "Saturation": "The flat part of an activation such as sigmoid or tanh. There its "
    "derivative is nearly zero and stops the gradient.",
    "Overfitting": "Learning the training examples by heart: good on them, worse on "
    "others. Dropout, which silences random units while training, works against it.",
    "Lyapunov exponent": "The rate, in nats a step, at which small differences in the "
    "state of a recurrent network grow (above zero) or die out (below zero).",
    "Seed and interval": "Each network is trained several times from different random "
    "weights. The interval tells how much the mean over these seeds can be trusted. "
    "That of a share is taken on the arcsine scale, so it stays within 0 and 100 %, "
    "and that of a loss or a length on the logarithmic scale.",
    "log10, decade and nat": "log10 is the power of ten: −3 means 0.001. One unit of "
    "it is a decade, a factor of ten; a nat is a factor of e = 2.72.",
    "chi_1": "The factor by which a squared gradient changes in one layer of a wide "
    "random network. Below 1 gradients vanish (the ordered phase), above 1 they "
    "explode (the chaotic phase); variances of weights and biases with chi_1 = 1 form "
    "the critical line.",
    "Fan-in": "How many inputs a unit has, n. Weights are started with a variance of "
    "1/n (LeCun) or 2/n (He), so that sums over inputs keep their size.",
}


def glossary_html() -> Markup:
    """Return the glossary as a definition list."""
    entries = (
        tag("div", tag("dt", word), tag("dd", meaning))
        for word, meaning in WORDS.items()
    )
    return tag("dl", *entries, class_="words")
