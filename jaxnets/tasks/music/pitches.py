"""Pitches of ABC notation as the numbers of MIDI, where 60 is the middle C."""

import re


# Half steps above C, and the order in which a key raises the letters.
HALF_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SHARPS = "FCGDAEB"
# Steps on the circle of fifths from the major key, by the first letters of the mode.
MODES = {
    "": 0, "maj": 0, "ion": 0, "m": -3, "min": -3, "aeo": -3, "mix": -1, "dor": -2,
    "phr": -4, "lyd": 1, "loc": -5,
}  # fmt: skip
ACCIDENTALS = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}


def key_of(text: str) -> dict[str, int]:
    """Return the half steps by which a key changes letters.

    Raises:
        ValueError: If it is no key.

    Example:
        >>> key_of("Bm"), key_of("F")
        ({'F': 1, 'C': 1}, {'B': -1})
    """
    if text.lower() in ("", "none"):
        return {}
    found = re.match(r"([A-G])([#b]?)\s*([A-Za-z]*)", text)
    mode = found[3].lower()[:3] if found else "?"
    if found is None or mode not in MODES:
        raise ValueError(f"{text[:20]!r} is no key, such as G, Bb or F#m")
    fifths = SHARPS.index(found[1]) - 1 + MODES[mode]
    fifths += {"#": 7, "b": -7, "": 0}[found[2]]
    if abs(fifths) > 7:
        raise ValueError(f"{text[:20]!r} is a key of more than seven sharps or flats")
    if fifths < 0:
        return dict.fromkeys(SHARPS[fifths:], -1)
    return dict.fromkeys(SHARPS[:fifths], 1)


def pitch_of(note: str, key: dict[str, int], accidentals: dict[str, int]) -> int:
    """Return the pitch of a note, which may have an accidental that holds in the bar.

    Args:
        note: Accidental, letter and octave, such as "^c'".
        key: What the key changes.
        accidentals: Those of the bar up to here, to which that of the note is added.

    Raises:
        ValueError: If the pitch is beyond those of MIDI.

    Example:
        >>> pitch_of("C", {}, {}), pitch_of("f", {"F": 1}, {}), pitch_of("_B,", {}, {})
        (60, 78, 58)
    """
    [(sign, letter, octaves)] = re.findall(r"([\^_=]*)(\w)([,']*)", note)
    place = letter + octaves
    if sign:
        accidentals[place] = ACCIDENTALS[sign]
    upper = letter.upper()
    pitch = 60 + HALF_STEPS[upper] + (12 if letter != upper else 0)
    pitch += 12 * (octaves.count("'") - octaves.count(","))
    pitch += accidentals.get(place, key.get(upper, 0))
    if not 0 <= pitch < 128:
        raise ValueError(f"{note!r} is beyond the pitches of MIDI")
    return pitch
