"""The contrast over time at the scale of an accelerator, stopped after some time."""

import io
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxnets.bench.device.session import Session
from jaxnets.studies import ContrastConfig, RunFolder, contrast


# This study generates its data, and it has the networks that are slowest on a GPU.
STUDIES = ("time",)
# The seconds that an arm may need to stop.
STOPPING = 12.0


class ContrastJob:
    """The job that runs `jaxnets contrast --scale accelerator` until time is over."""

    group = "contrast"
    key = "contrast: accelerator"
    programs = 1

    def prepare(self, session: Session) -> None:
        """Do nothing: the run compiles what it needs."""

    def run(self, session: Session) -> dict[str, Any]:
        """Run it, and return how far it came."""
        left = session.end - time.time()
        session.begin(self.key, patience=left)
        config = ContrastConfig(STUDIES, "accelerator", (0, 1, 2), "digits")
        with tempfile.TemporaryDirectory() as folder:
            return {"contrast": run_for(left - STOPPING, config, Path(folder, "run"))}


def run_for(seconds: float, config: ContrastConfig, path: Path) -> dict[str, Any]:
    """Run a contrast for so many seconds, and return how far it came."""
    started = time.perf_counter()
    # A signal, because nothing else ends a wait of the main thread for another one.
    main = threading.main_thread().ident
    stop = threading.Timer(seconds, signal.pthread_kill, (main, signal.SIGINT))
    stop.start()
    try:
        result = contrast(config, path, console=Console(file=io.StringIO()))
    finally:
        stop.cancel()
    arms = RunFolder(path).read().entries("arms")
    ended = [arm for arm in arms if arm["status"] != "pending"]
    names = ("arm", "seconds", "compile_seconds", "parameters")
    return {
        "studies": list(config.studies),
        "scale": config.scale,
        "seconds": time.perf_counter() - started,
        "interrupted": result.interrupted,
        "arms": len(arms),
        "ended": [{name: arm.get(name) for name in names} for arm in ended],
    }
