"""Signals that end the command: Ctrl-C, the end of the session, and `kill`."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType


NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
# The exit code of a program that a signal ended is this and the signal's number.
SIGNALLED = 128


class Signals:
    """What the command does when a signal asks it to end.

    While results can be saved, the first signal raises KeyboardInterrupt in the main
    thread, and a second one ends the process at once. At any other time, such as while
    JAX is imported, the first one does. A thread handles both, because the main
    one may be inside a compiler for a minute, or in an import that loses exceptions.

    Attributes:
        say: Tells the user, in a way that does not disturb what is on the terminal.
    """

    def __init__(self):
        self.say: Callable[[str], object] = _write
        self._received = 0
        self._saving = False
        self._interrupting = True
        self._repeated = False
        self._said = threading.Event()

    @property
    def exit_code(self) -> int:
        """The exit code of a run that was interrupted."""
        return SIGNALLED + (self._received or signal.SIGINT)

    def catch(self) -> None:
        """Handle the signals from now to the end of the process."""
        receiver, sender = os.pipe()
        os.set_blocking(sender, False)
        signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
        for number in (getattr(signal, n) for n in NAMES if hasattr(signal, n)):
            # A signal that the caller has switched off, as nohup does, stays off.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)
        sys.unraisablehook = self._repeat
        threading.Thread(target=self._handle, args=(receiver,), daemon=True).start()

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Mark a block that saves its results when it is interrupted."""
        self._saving = True
        try:
            yield
        finally:
            self._saving = False

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """Mark a block that asks `received` now and then, and ends by itself."""
        self._interrupting = False
        try:
            with self.saving():
                yield
        finally:
            self._interrupting = True

    @property
    def received(self) -> bool:
        """Whether a signal has asked the command to end."""
        return bool(self._received)

    def _handle(self, receiver: int) -> None:
        """Wait for signals and handle each."""
        while True:
            (number,) = os.read(receiver, 1)
            if self._repeated:
                self._repeated = False
            elif self._saving and not self._received:
                self._received = number
                self.say("Stopping; Ctrl-C again ends at once.")
                self._said.set()
            else:
                # The progress display may have hidden the cursor.
                shown = "\x1b[?25h\n" if os.isatty(2) else ""
                _write(shown + "Stopping.")
                os._exit(SIGNALLED + number)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the main thread, in which Python calls this."""
        del number, frame
        if self._saving and self._interrupting:
            # The user is told before the process can end.
            self._said.wait(1)
            raise KeyboardInterrupt

    def _repeat(self, lost) -> None:
        """Interrupt again if the exception was raised where Python had to drop it.

        JAX has a callback that garbage collection calls, and exceptions end there.
        """
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(lost)
        elif self._saving:
            self._repeated = True
            main = threading.main_thread().ident
            threading.Timer(0.1, signal.pthread_kill, [main, signal.SIGINT]).start()


def _write(text: str) -> None:
    """Write a line to the error stream, whatever holds its lock."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())
