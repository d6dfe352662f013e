"""What a trained network says of test scenes: scores, floors and exhibits."""

from collections.abc import Sequence

import numpy as np

from jaxnets.runs.exhibits import Exhibit, Matrix, Text
from jaxnets.tasks.captions.network import CELLS, captions, on_digit
from jaxnets.tasks.captions.scenes import WORDS, Scenes, caption
from jaxnets.tasks.decoder import Contrast, attention_weights
from jaxnets.tasks.task import Outcome


SHOWN = 8
# Number of digits of the scene whose attention is shown.
DIGITS_SHOWN = 3


def outcome(test: Scenes, frequent: str, model: Contrast) -> Outcome:
    """Write captions for the test scenes, and score and show them.

    Args:
        test: The test scenes.
        frequent: The most frequent caption of training.
        model: The trained networks.
    """
    references = [caption(words) for words in test.targets]
    networks = {"with attention": model.attentive, "without": model.without}
    written = {
        label: [caption(row[0]) for row in np.asarray(captions(network, test.image))]
        for label, network in networks.items()
    }
    right = {
        label: np.array(texts) == np.array(references)
        for label, texts in written.items()
    }
    weights = np.asarray(attention_weights(model.attentive, test))
    metrics = {
        "test_exact": float(right["with attention"].mean()),
        "test_exact_without_attention": float(right["without"].mean()),
        "floor_exact_most_frequent": float(
            np.mean([text == frequent for text in references])
        ),
        "attention_on_its_digit": float(looks_at_digit(weights, test).mean()),
    }
    outputs = written["with attention"]
    count = (test.corners[..., 0] >= 0).sum(axis=1)
    row = int(np.flatnonzero(count == DIGITS_SHOWN)[0])
    exhibits: list[Exhibit] = [
        *_maps(test, weights, row),
        _by_count(count, right),
        _table(outputs, references),
    ]
    return Outcome(metrics, exhibits)


def looks_at_digit(weights: np.ndarray, scenes: Scenes) -> np.ndarray:
    """Return for each word that names a digit whether the network looks at it.

    It does if the centre of the cell with the largest weight lies in the digit's 8 x 8
    pixels.

    Args:
        weights: Those of the attention, `(B, N, 36)`.
        scenes: The scenes, whose captions are the words.
    """
    largest = weights.argmax(axis=-1)[..., None]
    found = np.take_along_axis(np.asarray(on_digit(scenes.corners)), largest, axis=-1)
    return found[scenes.corners[..., 0] >= 0, 0]


def _maps(scenes: Scenes, weights: np.ndarray, row: int) -> list[Matrix]:
    """Return a picture, and where the network looks for each digit of its caption."""
    pixels, text = scenes.image[row, ..., 0], caption(scenes.targets[row])
    empty = [""] * len(pixels)
    found = [Matrix("A test scene", f"“{text}”", empty, empty, pixels.tolist(), "ink")]
    for place in np.flatnonzero(scenes.corners[row, :, 0] >= 0):
        word = WORDS[scenes.targets[row, place]]
        cells = weights[row, place].reshape(CELLS, CELLS)
        title = f"Where it looks for “{word}”"
        why = "Each cell stands for 4 x 4 pixels of the scene."
        empty = [""] * CELLS
        found.append(Matrix(title, why, empty, empty, cells.tolist(), "weight"))
    return found


def _by_count(count: np.ndarray, right: dict[str, np.ndarray]) -> Text:
    """Return the shares of captions that are right, by the number of digits."""
    lines = ["digits  " + "  ".join(label.rjust(14) for label in right)]
    for digits in np.unique(count):
        shares = [hits[count == digits].mean() for hits in right.values()]
        cells = "  ".join(f"{share:.1%}".rjust(14) for share in shares)
        lines.append(f"{digits:<8}{cells}")
    return Text(
        "Against the number of digits",
        "The share of the test scenes whose caption is right, word by word, with "
        "attention and with equal weights everywhere.",
        "\n".join(lines),
    )


def _table(outputs: Sequence[str], references: Sequence[str]) -> Text:
    """Return some captions, those that are wrong first."""
    pairs = zip(outputs, references, strict=True)
    shown = sorted(pairs, key=lambda pair: pair[0] == pair[1])[:SHOWN]
    blocks = [f"scene:  {reference}\noutput: {output}" for output, reference in shown]
    return Text(
        "Captions of test scenes",
        "Those that are wrong come first.",
        "\n\n".join(blocks),
    )
