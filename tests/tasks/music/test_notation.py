"""ABC notation: pitches, lengths, bars, and what is refused; and MIDI files."""

import struct
from fractions import Fraction

import pytest

from jaxnets.tasks.music.generated import generated_tunes
from jaxnets.tasks.music.midi import midi_of
from jaxnets.tasks.music.notation import Note, has_full_bars, read_tune
from jaxnets.tasks.music.pitches import key_of


def notes_of(body, key="C", metre="4/4"):
    """(start, length, pitch) of each note, in eighths."""
    tune = read_tune(f"X:1\nM:{metre}\nL:1/8\nK:{key}\n{body}")
    return [(n.start * 8, n.length * 8, n.pitch) for n in tune.notes]


def pitches_of(body, key="C"):
    return [pitch for _, _, pitch in notes_of(body, key)]


def test_letters_octaves_and_accidentals():
    assert pitches_of("C,CDEFGABcc'") == [48, 60, 62, 64, 65, 67, 69, 71, 72, 84]
    assert pitches_of("^C__D=E_B") == [61, 60, 64, 70]
    # An accidental holds to the end of the bar, at its octave only.
    assert pitches_of("^FFf|F") == [66, 66, 77, 65]
    assert pitches_of("F=FF|F", "G") == [66, 65, 65, 66]


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("C", ""),
        ("D", "FC"),
        ("Bm", "FC"),
        ("D minor", "B"),
        ("Ador", "F"),
        ("G Mixolydian", ""),
        ("Eb", "BEA"),
        ("F#", "FCGDAE"),
        ("none", ""),
    ],
)
def test_keys(key, changed):
    sign = -1 if changed.startswith("B") else 1
    assert key_of(key) == dict.fromkeys(changed, sign)


def test_lengths_rests_chords_and_tuplets():
    halves = notes_of("A2A/2A3/2A/A//|z2x")
    assert [length for _, length, _ in halves] == [2, 0.5, 1.5, 0.5, 0.25]
    assert notes_of("Az2[CE]2[C2E]B")[1:] == [
        (3, 2, 60),
        (3, 2, 64),
        (5, 2, 60),
        (5, 1, 64),
        (7, 1, 71),
    ]
    third = Fraction(2, 3)
    assert notes_of("(3ABcd")[2:] == [(2 * third, third, 72), (2, 1, 74)]
    assert notes_of("(3:2:2ABc")[1:] == [(third, third, 71), (2 * third, 1, 72)]
    # Five notes take the time of two or, in a compound metre, of three.
    assert [notes_of("(5ABcde", "C", m)[0][1] * 5 for m in ("3/4", "6/8")] == [2, 3]
    # Two notes in the time of three.
    assert [length for _, length, _ in notes_of("(2AB")] == [1.5, 1.5]


def test_ties_and_dotted_pairs():
    assert notes_of("A-A|A-|A") == [(0, 2, 69), (2, 2, 69)]
    assert notes_of("A-B") == [(0, 1, 69), (1, 1, 71)]
    assert notes_of("[CE]-[CE]G") == [(0, 2, 60), (0, 2, 64), (2, 1, 67)]
    # Of a chord, what does not reach the next one is not tied to it.
    assert notes_of("[C2E]-[CE]") == [(0, 3, 60), (0, 1, 64), (2, 1, 64)]
    assert notes_of("[C-E-][CE]-[CG]") == [(0, 3, 60), (0, 2, 64), (2, 1, 67)]
    assert notes_of("A-AzA") == [(0, 2, 69), (3, 1, 69)]
    assert notes_of("z>AB") == [(1.5, 0.5, 69), (2, 1, 71)]
    assert notes_of("A>BA<BA") == [
        (0, 1.5, 69),
        (1.5, 0.5, 71),
        (2, 0.5, 69),
        (2.5, 1.5, 71),
        (4, 1, 69),
    ]
    assert notes_of("A>>B") == [(0, 1.75, 69), (1.75, 0.25, 71)]


def test_what_is_no_note_takes_no_time():
    body = '"Gm7"A !trill!~.B{cde}(c d) % c\nT:more\n\\`y|]'
    assert notes_of(body) == [(0, 1, 69), (1, 1, 71), (2, 1, 72), (3, 1, 74)]


def full(body, metre="3/4"):
    return has_full_bars(read_tune(f"X:1\nM:{metre}\nL:1/8\nK:G\n{body}"))


@pytest.mark.parametrize(
    "body",
    [
        "G6|A6|",
        "D|G6|A5|",  # an upbeat
        "D|G6|A5:|:D|G6|[1 A5:|[2 A4||",
        "|:G6|A6::B6|c6:|",
        "G6|A6|\nP:B\nD|G6|A5",
        "G6|\nM:2/4\nA4|B4|",
        "G6|[M:2/4]A4|B4|",
        "(3GABG4|A6|",
    ],
)
def test_full_bars(body):
    assert full(body)


@pytest.mark.parametrize(
    ("body", "metre"),
    [
        ("G6|A5|B6|", "3/4"),
        ("G6|A7|", "3/4"),
        ("D|G7|A5|", "3/4"),
        ("D|A5|", "3/4"),
        ("", "3/4"),
        ("G6|A6|", "none"),
    ],
)
def test_other_bars(body, metre):
    assert not full(body, metre)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X:1\nK:C\nA?B", r"'\?B' is not ABC notation"),
        ("X:1\nM:4/4\nABc", "'ABc' stands before a line K:"),
        ("X:1", "there is no line K:"),
        ("X:1\nK:H\nA", "'H' is no key"),
        ("X:1\nK:B#\nA", "more than seven sharps"),
        ("X:1\nM:4\nK:C\nA", "'4' is no fraction"),
        ("X:1\nL:1/0\nK:C\nA", "'1/0' is no fraction"),
        ("X:1\nM:4/\u0660\nK:C\nA", "is no fraction"),  # An Arabic zero.
        ("X:1\nK:C\nA/0", "divides by zero"),
        ("X:1\nK:C\nA1234", "'4' is not ABC notation"),
        ("X:1\nK:C\n(0ABC", "a tuplet of no notes"),
        ("X:1\nK:C\nC,,,,,,", "beyond the pitches of MIDI"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_tune(text)


def test_the_generated_tunes_have_full_bars(monkeypatch):
    monkeypatch.setattr("jaxnets.tasks.music.generated.COUNT", 100)
    tunes = [read_tune(tune.text) for tune in generated_tunes()]
    assert all(map(has_full_bars, tunes))
    assert {len(tune.bars) for tune in tunes} == {8}
    # Eight bars of a melody that ends where it began.
    assert all(tune.notes[0].pitch == tune.notes[-1].pitch for tune in tunes)


def midi_notes(data):
    """(start, end, pitch) in ticks, by the rules of the format."""
    assert data[:4] == b"MThd" and data[14:18] == b"MTrk"
    assert struct.unpack(">IHHH", data[4:14]) == (6, 0, 1, 480)
    [length] = struct.unpack(">I", data[18:22])
    track, now, place, last, open_notes, found = data[22:], 0, 0, 0, {}, []
    assert len(track) == length
    while place < length:
        value = 0
        while True:
            value, more = value << 7 | track[place] & 0x7F, track[place] & 0x80
            place += 1
            if not more:
                break
        now += value
        status = track[place]
        if status == 0xFF:
            kind, size = track[place + 1 : place + 3]
            place += 3 + size
            last = kind
            continue
        pitch, velocity = track[place + 1 : place + 3]
        place += 3
        if status == 0x90 and velocity:
            open_notes[pitch] = now
        else:
            assert status == 0x80
            found.append((open_notes.pop(pitch), now, pitch))
    assert last == 0x2F and not open_notes
    return found


def test_a_midi_file_has_the_notes():
    quarter = Fraction(1, 4)
    notes = [Note(k * quarter, quarter, pitch) for k, pitch in enumerate([60, 60, 67])]
    notes += [Note(Fraction(0), Fraction(20), 48), Note(Fraction(21), quarter, 127)]
    assert sorted(midi_notes(midi_of(notes))) == [
        (0, 480, 60),
        (0, 38400, 48),
        (480, 960, 60),
        (960, 1440, 67),
        (40320, 40800, 127),
    ]
