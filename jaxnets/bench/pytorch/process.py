"""The PyTorch process: one for a whole run, driven through its input and output."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jaxnets.bench.cases import Case


VARIABLE = "JAXNETS_TORCH_PYTHON"
# After a call, the threads of PyTorch spin while they wait for the next one, for some
# 8 ms by default. The default is not changed; the next contender starts after it.
SETTLING = 0.02


class PeerError(Exception):
    """The PyTorch process cannot answer a request; the text says why."""


def find_python(option: Path | None) -> str:
    """Return the path of a Python interpreter that has PyTorch.

    Args:
        option: The interpreter that the user named, or None.

    Returns:
        `option`; if it is None, the interpreter that the environment variable
        JAXNETS_TORCH_PYTHON names; if it names none, the running one.

    Raises:
        PeerError: If the named file is missing, or if none is named and the running
            interpreter has no PyTorch.
    """
    named = option or os.environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            source = "--torch-python" if option else VARIABLE
            raise PeerError(f"{source} is {named}; wanted a Python interpreter.")
        # The system looks in PATH for a program whose path has no folder.
        return str(Path(named).absolute())
    if importlib.util.find_spec("torch") is None:
        raise PeerError(
            "this Python has no PyTorch; name one that has by --torch-python or "
            f"{VARIABLE} (benchmarks/README.md says how to make one)"
        )
    return sys.executable


class TorchProgram:
    """The computation that the PyTorch process prepared last."""

    def __init__(self, process: "TorchProcess"):
        self._process = process

    def seconds(self, calls: int, before: int = 0) -> float:
        """Return the mean seconds of a call, as `timing.JaxProgram.seconds` does."""
        answer = self._process.ask({"do": "time", "calls": calls, "before": before})
        time.sleep(SETTLING)
        return answer["seconds"]


class TorchProcess:
    """A running process that has PyTorch.

    Args:
        python: Path of an interpreter that has PyTorch.
        device: "cpu" or "cuda".
        threads: The number of threads that PyTorch may use.

    Attributes:
        facts: Its version, number of threads and device.

    Raises:
        PeerError: If it does not start.
    """

    def __init__(self, python: str, device: str, threads: int):
        script = Path(__file__).with_name("peer.py")
        environment = dict(os.environ)
        # A policy of active waiting would take the cores from the other contenders.
        environment.pop("OMP_WAIT_POLICY", None)
        try:
            self._process = subprocess.Popen(
                [python, str(script), device, str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
        except OSError as error:
            raise PeerError(f"{python}: {error.strerror}") from error
        try:
            self.facts = self._answer()
        except PeerError:
            self._process.communicate()
            raise

    def prepare(self, case: Case, arrays: list[Any] | None = None) -> TorchProgram:
        """Prepare the computation of a case.

        Args:
            case: The case to compute.
            arrays: The arguments, and for gradients the cotangent, as nested lists in
                our layouts. With None the process draws them at random.

        Raises:
            PeerError: If PyTorch cannot run the case, or if the number of parameters
                of its network differs from ours.
        """
        request = {"do": "prepare", "spec": case.row.spec, "direction": case.direction}
        answer = self.ask(request | ({} if arrays is None else {"arrays": arrays}))
        if answer["parameters"] != case.parameters:
            raise PeerError(
                f"its network has {answer['parameters']} parameters, ours "
                f"{case.parameters}"
            )
        return TorchProgram(self)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            PeerError: If the answer is an error, or if the process has ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"it ended with exit code {self._process.wait()}")
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise PeerError(
                f"it printed {line[:80]!r}; is it a Python interpreter?"
            ) from error
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def __enter__(self) -> "TorchProcess":
        return self

    def __exit__(self, *raised: object) -> None:
        # The process ends when its input ends.
        self._process.communicate()
