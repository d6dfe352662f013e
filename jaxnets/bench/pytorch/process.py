"""The PyTorch process: started once, asked over its standard input and output."""

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
# After a call its threads wait busily for the next one, 8 ms by default; that pace is
# PyTorch's own, so it is kept, and the others start when it is over.
SETTLING = 0.02


class PeerError(Exception):
    """The PyTorch process cannot do what it was asked for; the text says why."""


def find_python(option: Path | None) -> str:
    """Return the interpreter for PyTorch.

    Args:
        option: What the user named, if anything.

    Returns:
        That, or what the environment variable JAXNETS_TORCH_PYTHON names, or the
        running interpreter if it has PyTorch.

    Raises:
        PeerError: If there is none.
    """
    named = option or os.environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            source = "--torch-python" if option else VARIABLE
            raise PeerError(f"{source} is {named}; wanted a Python interpreter.")
        return str(named)
    if importlib.util.find_spec("torch") is None:
        raise PeerError(
            "this Python has no PyTorch; name one that has by --torch-python or "
            f"{VARIABLE} (benchmarks/README.md says how to make one)"
        )
    return sys.executable


class TorchProgram:
    """What the process has prepared."""

    def __init__(self, process: "TorchProcess"):
        self._process = process

    def seconds(self, calls: int, before: int = 0) -> float:
        """Return the seconds that one of so many calls took, after others `before`."""
        answer = self._process.ask({"do": "time", "calls": calls, "before": before})
        time.sleep(SETTLING)
        return answer["seconds"]


class TorchProcess:
    """A running PyTorch.

    Args:
        python: An interpreter that has PyTorch.
        device: "cpu" or "cuda".
        threads: How many threads it may use.

    Attributes:
        facts: Its version, threads and device.

    Raises:
        PeerError: If it does not start.
    """

    def __init__(self, python: str, device: str, threads: int):
        script = Path(__file__).with_name("peer.py")
        environment = dict(os.environ)
        # Threads that never stop waiting busily would take the others' processors.
        environment.pop("OMP_WAIT_POLICY", None)
        self._process = subprocess.Popen(
            [python, str(script), device, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            self.facts = self._answer()
        except PeerError:
            self._process.communicate()
            raise

    def prepare(self, case: Case, arrays: list[Any] | None = None) -> TorchProgram:
        """Prepare a case.

        Args:
            case: What to time.
            arrays: Nested lists: its arguments, and for gradients the cotangent, in
                our layouts. None draws them.

        Raises:
            PeerError: If it cannot run there, or its network is another.
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
        """Send a request and wait for the answer.

        Raises:
            PeerError: If the answer is an error.
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
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def __enter__(self) -> "TorchProcess":
        return self

    def __exit__(self, *raised: object) -> None:
        # It ends when its input does.
        self._process.communicate()
