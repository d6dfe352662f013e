"""What the jobs of a worker share: messages, threads that compile, and PyTorch."""

import io
import json
import os
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.bench.device.options import DeviceOptions
from jaxnets.bench.device.supervisor import REPLACE
from jaxnets.bench.pytorch.process import PeerError, TorchProcess, find_python
from jaxnets.training.machine import cores


class Session:
    """What the jobs of a worker share.

    Args:
        task: The task that the supervisor gives.
        channel: Where the messages to the supervisor go.

    Attributes:
        options: What to measure.
        started: The time when the command started.
        end: The time when it must have ended.
        done: The keys of the rows that need not be measured.
        torch_told: Whether the supervisor knows the version of PyTorch.
    """

    def __init__(self, task: dict[str, Any], channel: io.TextIOBase):
        self.options = DeviceOptions(**task["options"])
        self.started, self.end = task["started"], task["end"]
        self.done = set(task["done"])
        self._broken = {(key, who): reason for key, who, reason in task["broken"]}
        self._suspects = set(task["suspects"])
        self.torch_told = False
        self._channel = channel
        self._threads = ThreadPoolExecutor(cores())
        self._compiling: list[Future[Any]] = []
        self._torch = self._threads.submit(self._start_torch)

    def send(self, **message: Any) -> None:
        """Send a message to the supervisor."""
        print(json.dumps(message), file=self._channel, flush=True)

    def begin(self, key: str, who: str = "*", patience: float | None = None) -> None:
        """Tell the supervisor what runs from now on."""
        self.begin_all([[key, who]], patience)

    def begin_all(self, running: list[list[str]], patience: float | None = None):
        """Tell the supervisor that these contenders run or compile from now on."""
        patience = patience or self.options.silent_seconds
        self.send(begin=running, patience=patience)

    def is_suspect(self, key: str) -> bool:
        """Return whether the row compiles alone, because it may break the process."""
        return key in self._suspects

    def submit(
        self, key: str, who: str, function: Callable[..., Any], *arguments: Any
    ) -> Future[Any]:
        """Call a function that compiles the program of a contender, in a thread.

        Returns:
            The future result. If the contender broke a process before, it raises a
            `ValueError` with the reason.
        """
        if (key, who) in self._broken:
            return _failed(ValueError(self._broken[key, who]))
        if key not in self._suspects:
            self._compiling.append(self._threads.submit(function, *arguments))
            return self._compiling[-1]
        self.begin(key, who)
        found: Future[Any] = Future()
        try:
            found.set_result(function(*arguments))
        except Exception as error:
            self.check_device(key, who, error)
            found.set_exception(error)
        return found

    def wait(self) -> None:
        """Wait until everything is compiled, because compiling would disturb timing."""
        futures.wait(self._compiling, self.options.compile_seconds)
        self._compiling.clear()

    def result(self, future: Future[Any]) -> Any:
        """Return what `submit` returned, after `wait`.

        Raises:
            TimeoutError: If compiling takes too long.
        """
        if future.done():
            return future.result()
        seconds = self.options.compile_seconds
        raise TimeoutError(f"compiling takes more than {seconds:.0f} s")

    def check_device(self, key: str, who: str, error: Exception) -> None:
        """End this process if the device computes nothing after this error.

        After an error such as an illegal address every later call fails.
        """
        if not device_computes():
            self.send(broken=[key, who, f"broke the device: {reason_of(error)}"])
            os._exit(REPLACE)

    def torch(self) -> TorchProcess:
        """Return the PyTorch process.

        Raises:
            PeerError: If PyTorch is not installed or was not asked for.
        """
        return self._torch.result()

    def _start_torch(self) -> TorchProcess:
        if "torch" not in self.options.peers:
            raise PeerError("it was not asked for")
        device = "cuda" if jax.default_backend() == "gpu" else "cpu"
        return TorchProcess(find_python(None), device, cores())


def device_computes() -> bool:
    """Return whether the device still computes."""
    try:
        return float(jnp.ones(()) + 1.0) == 2.0
    except Exception:
        return False


def reason_of(error: BaseException) -> str:
    """Return an error in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 240 else f"{text[:240]}..."


def _failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
