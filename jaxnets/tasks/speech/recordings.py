"""Recordings of spoken words: wav files in a folder or a zip archive."""

import io
import re
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from jaxnets.data.files import UNREADABLE


NAME = re.compile(r"(?P<word>[^_]+)_(?P<speaker>[^_]+)_(?P<index>[0-9]{1,6})\.wav")
# A file of more bytes, or of a longer sound, is no recording of one word.
MOST_BYTES, LONGEST_SECONDS, MOST_FILES = 2_000_000, 5, 100_000
# All recordings are in memory at once.
MOST_BYTES_IN_ALL = 1_000_000_000
# Samples in a second, of a telephone and of the finest recordings.
LOWEST_RATE, HIGHEST_RATE = 8000, 192_000
# The recordings of each speaker and word that the Free Spoken Digit Dataset tests with.
TESTED = 5


class Recording(NamedTuple):
    """One spoken word.

    Attributes:
        word: What is spoken.
        speaker: Who speaks.
        tested: Whether it belongs to the test split.
        samples: Numbers from -1 to 1, `(n,)`.
    """

    word: str
    speaker: str
    tested: bool
    samples: np.ndarray


def read_recordings(path: Path) -> tuple[int, list[Recording]]:
    """Return the sampling rate and the recordings of a folder or zip archive.

    The name of a file is `word_speaker_index.wav`. Files in a folder called `test` are
    the test split. If there is no such folder, it is the official one of the Free
    Spoken Digit Dataset: the indices 0 to 4 of each speaker and word.

    Nothing is extracted from an archive: its members are read one by one. Files whose
    name begins with `._` are passed over: macOS writes them beside each file.

    Raises:
        ValueError: If a file is too large, is not a recording or is cut off, or the
            rates differ, or all files together are too large.
        OSError: If one cannot be read.
    """
    found: dict[PurePosixPath, Recording] = {}
    rates: dict[int, str] = {}
    size = 0
    for name, data in recording_files(path):
        where = f"{path}, {name}"
        size += len(data)
        if size > MOST_BYTES_IN_ALL:
            raise ValueError(
                f"The wav files of {path} have more than {MOST_BYTES_IN_ALL} bytes "
                "together; wanted fewer or shorter recordings."
            )
        match = NAME.fullmatch(name.name)
        if not match:
            raise ValueError(
                f"{where}: wanted a name `word_speaker_index.wav`, such as "
                "3_jackson_12.wav."
            )
        rate, samples = read_wav(data, where)
        rates.setdefault(rate, where)
        tested = int(match["index"]) < TESTED
        found[name] = Recording(match["word"], match["speaker"], tested, samples)
    if not found:
        raise ValueError(f"{path} has no wav files; wanted `word_speaker_index.wav`.")
    if len(rates) > 1:
        both = " and ".join(f"{rate} Hz ({where})" for rate, where in rates.items())
        raise ValueError(f"The recordings have {both}; wanted one sampling rate.")
    if any("test" in name.parts[:-1] for name in found):
        found = {
            name: recording._replace(tested="test" in name.parts[:-1])
            for name, recording in found.items()
        }
    return next(iter(rates)), [found[name] for name in sorted(found)]


def recording_files(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the name and the bytes of every wav file of a folder or zip archive."""
    if path.is_dir():
        found = path.rglob("*.wav")
        paths = sorted(file for file in found if _is_recording(str(file)))
        _check_count(path, len(paths))
        for file in paths:
            with file.open("rb") as stream:
                data = stream.read(MOST_BYTES + 1)
            name = PurePosixPath(file.relative_to(path).as_posix())
            yield name, _checked(data, f"{path}, {name}")
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if _is_recording(name)]
            _check_count(path, len(names))
            for name in names:
                # No more is unpacked than this, whatever the archive says of its size.
                with archive.open(name) as stream:
                    data = stream.read(MOST_BYTES + 1)
                yield PurePosixPath(name), _checked(data, f"{path}, {name}")
    except UNREADABLE as error:
        raise ValueError(
            f"{path} is not a folder, and not a whole zip archive either: {error}."
        ) from error


def _is_recording(name: str) -> bool:
    """Return whether a file is a wav file, and not what macOS keeps beside one."""
    return name.endswith(".wav") and not PurePosixPath(name).name.startswith("._")


def _check_count(path: Path, count: int) -> None:
    if count > MOST_FILES:
        raise ValueError(f"{path} has {count} wav files; wanted at most {MOST_FILES}.")


def _checked(data: bytes, where: str) -> bytes:
    if len(data) > MOST_BYTES:
        raise ValueError(
            f"{where} has more than {MOST_BYTES} bytes; wanted one spoken word."
        )
    return data


def read_wav(data: bytes, where: str) -> tuple[int, np.ndarray]:
    """Return the sampling rate and the samples of a wav file, averaged over channels.

    Args:
        data: The bytes of the file.
        where: Its name, for the error.

    Raises:
        ValueError: If they are not a wav file of 16 bits, are cut off or too long, or
            have too few or too many samples a second.
    """
    try:
        with wave.open(io.BytesIO(data)) as file:
            channels, width, rate, count, *_ = file.getparams()
            sound = file.readframes(count)
    except (wave.Error, EOFError, RuntimeError) as error:
        raise ValueError(
            f"{where} is not a wav file of uncompressed samples: {error or 'it ends'}."
        ) from error
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ValueError(
            f"{where} has {rate} samples a second; wanted {LOWEST_RATE} to "
            f"{HIGHEST_RATE}."
        )
    if width != 2:
        raise ValueError(f"{where} has {8 * width} bits a sample; wanted 16.")
    if len(sound) != count * channels * width:
        raise ValueError(
            f"{where} is cut off: it has {len(sound)} of "
            f"{count * channels * width} bytes of sound."
        )
    if not 0 < count <= LONGEST_SECONDS * rate:
        raise ValueError(
            f"{where} lasts {count / rate:.3g} seconds; wanted a sound of at most "
            f"{LONGEST_SECONDS}."
        )
    samples = np.frombuffer(sound, "<i2").reshape(count, channels).mean(axis=1)
    return rate, (samples / 32768).astype(np.float32)
