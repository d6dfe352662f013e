"""What a network writes that predicts the next character."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxnets import models
from jaxnets.tasks.task import SampleOptions
from jaxnets.training import random_key


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
