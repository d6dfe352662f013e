"""What a trained network writes: tunes, how many have full bars, and files of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxnets import models
from jaxnets.runs.exhibits import Exhibit, FileLink, Roll, Text
from jaxnets.runs.files import write_bytes, write_text
from jaxnets.tasks.music.midi import midi_of
from jaxnets.tasks.music.notation import Tune, has_full_bars, read_tune
from jaxnets.tasks.music.tunes import END, TuneBatch
from jaxnets.tasks.task import Outcome, SampleOptions
from jaxnets.tasks.writing import alphabet_of, draw_texts, marked_passage, write_page


# Tunes that are drawn at the end of a run, and their temperature.
DRAWN, TEMPERATURE = 50, 0.8


def drawn_tunes(
    model: models.CharacterModel, about: Mapping[str, Any], options: SampleOptions
) -> list[str]:
    """Return tunes in ABC notation that begin with the prompt, up to their end.

    `options.out` gets each as `tune-1.abc` and so on, and as a MIDI file if it is in
    ABC notation.

    Raises:
        ValueError: If the prompt has characters that the network does not know.
        OSError: If a file cannot be written.
    """
    model.eval()
    prompt = "\n" + (options.prompt or "").lstrip("\n")
    texts = draw_texts(model, about, options._replace(prompt=prompt))
    tunes = [text[1:].partition(END)[0] for text in texts]
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(tunes, 1):
            write_text(options.out / f"tune-{number}.abc", text + "\n")
            if tune := parsed(text):
                write_bytes(options.out / f"tune-{number}.mid", midi_of(tune.notes))
    return tunes


def parsed(text: str) -> Tune | None:
    """Return a tune with its notes, or None if it is not in ABC notation."""
    try:
        return read_tune(text)
    except ValueError:
        return None


def share_with_full_bars(texts: Sequence[str]) -> float:
    r"""Return the share of texts that are tunes with full bars.

    Example:
        >>> share_with_full_bars(["X:1\nM:2/4\nK:C\nC8|C8|", "X:1\nK:C\n?", ""])
        0.333...
    """
    tunes = [parsed(text) for text in texts]
    return sum(tune is not None and has_full_bars(tune) for tune in tunes) / len(texts)


def outcome(
    model: models.CharacterModel,
    folder: Path,
    *,
    about: dict[str, Any],
    evaluated: TuneBatch,
    texts: Sequence[str],
) -> Outcome:
    """Draw tunes, count those with full bars, and show the first of them."""
    options = SampleOptions(
        count=DRAWN, length=about["longest"], temperature=TEMPERATURE
    )
    drawn = drawn_tunes(model, about, options)
    metrics = {
        "share_with_full_bars": share_with_full_bars(drawn),
        "share_with_full_bars_of_data": share_with_full_bars(texts),
    }
    full = [text for text in drawn if share_with_full_bars([text])]
    said = f"A tune that the network wrote at temperature {TEMPERATURE}"
    exhibits: list[Exhibit] = [Text("A tune", f"{said}, in ABC notation.", drawn[0])]
    if full:
        notes = read_tune(full[0]).notes
        roll = [(float(s * 4), float(n * 4), float(p)) for s, n, p in notes]
        write_bytes(folder / "tune.mid", midi_of(notes))
        exhibits = [
            Text("A tune", f"{said}, in ABC notation.", full[0]),
            Roll("The same tune as notes", "Repeats are not played.", roll),
            FileLink("Listen to it", "The tune as a MIDI file.", "tune.mid"),
        ]
    alphabet = alphabet_of(about)
    logits = lambda x: model.advance(None, x, resets=evaluated.resets[:1])[1]
    exhibits += [
        marked_passage(logits, evaluated.x[:1], evaluated.y[:1], alphabet),
        *write_page(model, about, folder, END),
    ]
    return Outcome(metrics, exhibits)
