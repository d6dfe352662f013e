"""A tune as a standard MIDI file."""

import struct
from collections.abc import Sequence

from jaxnets.tasks.music.notation import Note


# Ticks of a quarter note, quarter notes in a minute, and how hard keys are pressed.
TICKS, TEMPO, VELOCITY = 480, 120, 80


def midi_of(notes: Sequence[Note]) -> bytes:
    """Return a MIDI file of one track with the notes.

    Example:
        >>> midi_of([])[:4]
        b'MThd'

    Source: MIDI Association, "Standard MIDI Files 1.0", format 0.
    """
    events = []
    for start, length, pitch in notes:
        begin, end = round(start * 4 * TICKS), round((start + length) * 4 * TICKS)
        # At one time, notes end before others begin.
        events.append((begin, 1, bytes([0x90, pitch, VELOCITY])))
        events.append((max(end, begin + 1), 0, bytes([0x80, pitch, 0])))
    tempo = struct.pack(">I", 60_000_000 // TEMPO)[1:]
    track, now = b"\0\xff\x51\x03" + tempo, 0
    for time, _, event in sorted(events):
        track += _number(time - now) + event
        now = time
    track += b"\0\xff\x2f\0"
    header = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, TICKS)
    return header + struct.pack(">4sI", b"MTrk", len(track)) + track


def _number(value: int) -> bytes:
    """Return a number in groups of seven bits, of which all but the last have bit 7."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))
