"""Translations of what the user asks for."""

from collections.abc import Mapping
from typing import Any

from flax import nnx

from jaxnets.tasks.decoder import Contrast
from jaxnets.tasks.task import SampleOptions
from jaxnets.tasks.translation.network import Sizes, make_network, translated
from jaxnets.tasks.translation.vocabulary import Vocabulary, vocabulary_of


# More beams than the most find nothing better, and take memory and time.
BEAMS, MOST_BEAMS = 5, 100


def made_again(rngs: nnx.Rngs, about: Mapping[str, Any]) -> Contrast:
    """Return the network of a run, with any weights."""
    try:
        sizes = Sizes(*about["sizes"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"The sizes of the checkpoint are damaged: {error!r}. Train anew."
        ) from error
    return make_network(rngs, sizes)


def draw(
    model: Contrast, about: Mapping[str, Any], options: SampleOptions
) -> list[str]:
    """Return the likeliest translations of the prompt that a beam search finds.

    Without a prompt it is a sentence of the validation set.

    Raises:
        ValueError: If the prompt is empty or has words that the network cannot read,
            or more translations are asked for than the search may have beams.
    """
    if options.count > MOST_BEAMS:
        raise ValueError(
            f"`count` is {options.count}; wanted at most {MOST_BEAMS} translations, "
            "because each needs a beam of the search."
        )
    source, target = vocabularies_of(about)
    prompt = options.prompt if options.prompt is not None else str(about["example"])
    try:
        tokens = source.encode(prompt.strip())
    except ValueError as error:
        raise ValueError(f"`prompt`: {error}") from error
    if not tokens:
        raise ValueError("`prompt` is empty; wanted a sentence to translate.")
    beams = max(BEAMS, options.count)
    [found] = translated(model.attentive, [tokens], beams=beams)
    return [target.decode(beam) for beam in found[: options.count]]


def vocabularies_of(about: Mapping[str, Any]) -> list[Vocabulary]:
    """Return the vocabularies of source and target."""
    found = about.get("vocabularies")
    if not isinstance(found, list) or len(found) != 2:
        raise ValueError("The checkpoint has no vocabularies. Train anew.")
    return [vocabulary_of(one) for one in found]
