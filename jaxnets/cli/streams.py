"""The standard streams, which do not fail the command when they cannot be written."""

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

from jaxnets.runs.files import printable


def line(text: object) -> str:
    r"""Return a text, or a path, as one line that does not steer the terminal.

    Example:
        >>> line("red \x1b[31m and\nblue")
        'red \\x1b[31m and blue'
    """
    return " ".join(printable(str(text)).splitlines())


class Stream:
    """A text stream that stays quiet after a write has failed.

    A reader that leaves early (`jaxnets contrast | head -1`) or a full disk must not
    end a run whose results are in its folder.

    Args:
        stream: The stream to write to; None if the process was started without it.

    Attributes:
        failure: Why the stream cannot be written; None as long as it can.
        needed: Whether the command has no other result than what it prints, so that
            a failed write has to end it.
    """

    def __init__(self, stream: Any):
        self._stream = io.StringIO() if stream is None else stream
        self.failure: OSError | None = None
        self.needed = False

    def write(self, text: str) -> int:
        """Write `text`, unless a write has failed before."""
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, unless a write has failed before."""
        self._try(self._stream.flush)

    def _try(self, do, *arguments) -> None:
        if self.failure is not None:
            return
        try:
            do(*arguments)
        except OSError as error:
            self.failure = error
            # What is buffered goes nowhere, so that Python can flush it when it ends.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if self.needed:
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def standard_streams() -> Iterator[Stream]:
    """Make both standard streams a `Stream`, and yield that of the standard output.

    Characters that the encoding of a stream does not have are written as escapes.
    """
    codecs.register_error("jaxnets", _encoded)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="jaxnets")
    output = Stream(sys.stdout)
    with (
        contextlib.redirect_stdout(output),  # pyright: ignore[reportArgumentType]
        contextlib.redirect_stderr(Stream(sys.stderr)),  # pyright: ignore[reportArgumentType]
    ):
        try:
            yield output
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def _encoded(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encode bytes of file names as they were, and other characters as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    try:
        return found.encode("ascii", "surrogateescape"), error.end
    except UnicodeEncodeError:
        return codecs.backslashreplace_errors(error)
