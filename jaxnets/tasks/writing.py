"""What a network writes that predicts the next character."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxnets import models
from jaxnets.runs.exhibits import FileLink, Marked
from jaxnets.runs.files import write_text
from jaxnets.tasks.live.page import live_page
from jaxnets.tasks.live.weights import lstm_weights
from jaxnets.tasks.task import SampleOptions
from jaxnets.training import random_key
from jaxnets.typing import ArrayLike


# The page of a network with more weights than these would be large and slow.
PAGE, MOST_WEIGHTS = "write.html", 1_000_000
# With two bytes for each of more weights than these, it would be larger than 1 MB.
MOST_OF_TWO_BYTES = 350_000


def draw_texts(
    model: models.CharacterModel, about: Mapping[str, Any], options: SampleOptions
) -> list[str]:
    """Return texts that begin with the prompt, or else with a new line."""
    alphabet = alphabet_of(about)
    codes = {character: code for code, character in enumerate(alphabet)}
    prompt = options.prompt
    if prompt is None:
        prompt = "\n" if "\n" in codes else alphabet[0]
    if not prompt:
        raise ValueError("`prompt` is empty; wanted at least one character.")
    if unknown := sorted(set(prompt) - set(codes)):
        raise ValueError(
            f"`prompt` has {unknown[0]!r}, which is not among the {len(codes)} "
            "characters of the text that the network was trained on."
        )
    start = np.tile([codes[character] for character in prompt], (options.count, 1))
    graphdef, state = nnx.split(model)

    @jax.jit
    def run(state, key):
        return nnx.merge(graphdef, state).generate(
            start,
            options.length,
            key=key,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
        )

    rows = np.asarray(run(state, random_key(options.seed)))
    return [prompt + "".join(alphabet[code] for code in row) for row in rows]


def alphabet_of(about: Mapping[str, Any]) -> list[str]:
    """Return the characters that the network of a checkpoint knows."""
    codes = about.get("alphabet")
    if not isinstance(codes, list) or not codes:
        raise ValueError(
            "The checkpoint holds no alphabet, as those of older versions. Train anew."
        )
    try:
        return list(map(chr, codes))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"The alphabet of the checkpoint is damaged: {error}."
        ) from error


def marked_passage(
    logits: Callable[[Any], Any], x: ArrayLike, y: ArrayLike, alphabet: Sequence[str]
) -> Marked:
    """Return a passage in which each character is coloured by its loss.

    Args:
        logits: `logits(x) -> (1, T, V)`.
        x: The characters before each of the passage, `(1, T)`.
        y: The characters of the passage, `(1, T)`.
        alphabet: The characters by their codes.
    """
    y = np.asarray(y)
    log_p = np.asarray(jax.nn.log_softmax(jax.jit(logits)(x)), float)[0]
    losses = -log_p[np.arange(y.shape[1]), y[0]]
    # Of an alphabet of one character all losses are 0.
    most = float(losses.max()) or 1.0
    return Marked(
        "What surprises the network",
        "A passage of the validation data. The stronger the colour of a character, the "
        f"less the network expected it. The mean loss is {losses.mean():.2f} nats.",
        [str(alphabet[code]) for code in y[0]],
        (losses / most).tolist(),
        f"loss as a share of {most:.1f} nats",
    )


def write_page(
    model: models.CharacterModel, about: Mapping[str, Any], folder: Path, end: str = ""
) -> list[FileLink]:
    """Write the page on which a person writes and the network goes on.

    Args:
        model: The network.
        about: Its alphabet.
        folder: Where the page goes.
        end: What ends a text; empty if nothing does.

    Returns:
        A link to it; none if the network is so large that the page would be slow.

    Raises:
        OSError: If it cannot be written.
    """
    params = jax.tree.leaves(nnx.state(model, nnx.Param))
    count = sum(array.size for array in params)
    if count > MOST_WEIGHTS:
        return []
    dtype = "float16" if count <= MOST_OF_TWO_BYTES else "int8"
    weights = lstm_weights(model.recurrent, model.output, dtype)
    settings = {"alphabet": about["alphabet"], "end": end}
    write_text(folder / PAGE, live_page("characters", weights, settings))
    caption = (
        "A page that opens from disk. The network reads what you type and goes on."
    )
    return [FileLink("Write with the network", caption, PAGE)]
