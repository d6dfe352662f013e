"""The terms that a reader new to the topic needs, each in a sentence or two."""

import re

from jaxnets.report.html.markup import Markup, join, tag


WORDS = {
    "Gradient": "How the loss changes when a number in the network changes a little. "
    "Training follows the gradient downhill, so a part of the network without gradient "
    "does not learn. The norm of the gradient is its length.",
    "Backpropagation": "The gradient is computed from the loss backwards, layer by "
    "layer, and in a recurrent network step by step into the past.",
    "Vanishing and exploding": "Each layer or time step multiplies the gradient. "
    "Factors below one make it vanish on its way back, factors above one make it "
    "explode; both do so exponentially fast.",
    "Shortcut connection": "Adds the input of a block to its output, which gives the "
    "gradient a path around the block. Networks with shortcut connections are called "
    "residual, those without plain.",
    "BatchNorm": "Batch normalisation: it shifts and scales each feature to mean zero "
    "and variance one over the batch.",
    "Gate": "A factor between 0 and 1 that the network computes. GRU and LSTM decide "
    "by gates what to keep; a gate near 1 passes state and gradient on unchanged.",
    "Saturation": "A unit is saturated if it is on the flat part of an activation such "
    "as sigmoid or tanh. There the derivative is nearly zero, which stops the "
    "gradient.",
    "Overfitting": "The network learns the training examples by heart: it does well on "
    "them and worse on others. Dropout, which silences random units during training, "
    "reduces this.",
    "Lyapunov exponent": "The rate, in nats per step, at which small differences in "
    "the state of a recurrent network grow (above zero) or shrink (below zero).",
    "Seed and interval": "Each network is trained several times from different random "
    "weights. The interval tells how precisely the mean over these seeds is known. "
    "For a share it is computed on the arcsine scale, so it stays within 0 and 100 %; "
    "for a loss or a length it is computed on the logarithmic scale.",
    "log10, decade and nat": "log10 is the exponent of a power of ten: −3 means 0.001. "
    "One unit is a decade, a factor of ten. A nat is a factor of e ≈ 2.72.",
    "chi_1": "The factor by which the squared gradient changes in one layer of a wide "
    "random network. Below 1 gradients vanish (the ordered phase), above 1 they "
    "explode (the chaotic phase). The variances of weights and biases for which "
    "chi_1 = 1 form the critical line.",
    "Fan-in": "The number n of inputs of a unit. Initial weights have a variance of "
    "1/n (LeCun) or 2/n (He), so that sums over inputs keep their scale.",
}


# What in a text is explained by each word. The plainest words are explained in the
# glossary alone: they would be marked in nearly every sentence.
_PATTERNS = {
    "Vanishing and exploding": r"vanish\w*|explod\w*",
    "Shortcut connection": r"shortcuts?(?: connections?)?",
    "BatchNorm": r"BatchNorm|batch normalisation",
    "Gate": r"gates?",
    "Saturation": r"saturat\w+",
    "Overfitting": r"overfit\w*|dropout",
    "log10, decade and nat": r"log10|decades?|nats?",
    "chi_1": r"chi_1",
    "Seed and interval": r"seeds?",
}
_EXPLAINED = re.compile(
    "|".join(rf"(?P<w{n}>\b(?:{p})\b)" for n, p in enumerate(_PATTERNS.values())),
    re.IGNORECASE,
)


def explained(text: str) -> Markup:
    """Return plain text in which words of the glossary show what they mean.

    The meaning appears on hovering, on a tap, and when the word has the focus; a screen
    reader reads it from the glossary. Only the first occurrence of a word is marked.

    Example:
        >>> "data-meaning" in explained("The gates close.")
        True
    """
    parts: list[object] = []
    seen, end = set(), 0
    for match in _EXPLAINED.finditer(text):
        word = list(_PATTERNS)[int(str(match.lastgroup)[1:])]
        if word not in seen:
            seen.add(word)
            parts += [text[end : match.start()], _term(match[0], word)]
            end = match.end()
    return join([*parts, text[end:]])


def _term(written: str, word: str) -> Markup:
    return tag(
        "dfn",
        written,
        tabindex=0,
        aria_describedby=_identifier(word),
        data_meaning=WORDS[word],
    )


def _identifier(word: str) -> str:
    return "word-" + re.sub(r"\W+", "-", word.lower())


def glossary_html() -> Markup:
    """Return the glossary as a definition list."""
    entries = (
        tag("div", tag("dt", word), tag("dd", meaning, id=_identifier(word)))
        for word, meaning in WORDS.items()
    )
    return tag("dl", *entries, class_="words")
