"""Train on several devices and in two processes, and compare with one device.

`PYTHONPATH=. python benchmarks/processes.py`

The same short run of `jaxnets train adding` is made on 1, 2, 4 and 8 devices of one
process (forced, on a CPU), with its parameters divided over 4 of 8, and in two
processes. The largest relative difference of a loss from that on one device is printed.
Then a run goes from two processes, of which one gets SIGTERM, to one process and back
to two, and at last each of two processes is killed in turn: how long the other goes on,
and what it says. The processes talk over the loopback interface; one pair is started
as Slurm starts processes, by environment variables.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path


TRAIN = [sys.executable, "-m", "jaxnets", "train"]
TASK = ["adding", "--steps", "60", "--checkpoint-every", "20"]
TASK += ["--set", "batch_size=16", "--set", "evaluate_every=60"]
LONG = [*TASK, "--steps", "100000"]


def started(
    words: list[str], processes: int, devices: int = 1, *, slurm: bool = False
) -> list:
    """Start the command in one process or in several, by hand or as Slurm does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    several = ["--coordinator", address]
    variables = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "127.0.0.1"}
    variables["SLURM_NTASKS"] = str(processes)
    found = []
    for index in range(processes):
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices)}
        own = ["--process-count", str(processes), "--process-index", str(index)]
        if slurm:
            environment |= variables
            environment["SLURM_PROCID"] = environment["SLURM_LOCALID"] = str(index)
        found.append(
            subprocess.Popen(
                [*TRAIN, *words]
                + (several if processes > 1 else [])
                + (own if processes > 1 and not slurm else []),
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return found


def finished(words: list[str], processes: int = 1, devices: int = 1) -> None:
    for process in started(words, processes, devices):
        output, _ = process.communicate()
        if process.returncode:
            sys.exit(f"{' '.join(words)} ended with {process.returncode}: {output}")


def losses(folder: Path) -> list[float]:
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row["loss"] for row in rows if "loss" in row]


def difference(folder: Path, expected: list[float]) -> float:
    """Return the largest relative difference of a loss; all must be there."""
    pairs = zip(losses(folder), expected, strict=True)
    return max(abs(found - loss) / loss for found, loss in pairs)


def running(words: list[str], folder: Path) -> list:
    """Start two processes, and return them after some updates."""
    processes = started([*words, "--out", str(folder)], 2)
    path = folder / "metrics.jsonl"
    while not path.exists() or len(path.read_text().splitlines()) < 40:
        time.sleep(0.1)
        if any(process.poll() is not None for process in processes):
            sys.exit(str([process.communicate() for process in processes]))
    return processes


def resumed(folder: Path, expected: list[float]) -> None:
    """Go from two processes to one and back to two."""
    processes = started([*TASK, "--out", str(folder)], 2, slurm=True)
    path = folder / "metrics.jsonl"
    while not path.exists() or not path.read_text():
        time.sleep(0.01)
    processes[1].send_signal(signal.SIGTERM)
    codes = [(process.communicate(), process.returncode)[1] for process in processes]
    print(f"two processes, SIGTERM to one: exit codes {codes}, {len(losses(folder))}")
    one = started(["--resume", str(folder), "--devices", "1"], 1)[0]
    before = len(losses(folder))
    while len(losses(folder)) == before and one.poll() is None:
        time.sleep(0.01)
    one.send_signal(signal.SIGTERM)
    one.communicate()
    print(f"one process, SIGTERM: exit code {one.returncode}, {len(losses(folder))}")
    finished(["--resume", str(folder)], processes=2)
    print(f"two processes to the end: {difference(folder, expected):.1e}", flush=True)


def killed(folder: Path, index: int) -> None:
    """Kill one of two processes, and say how the other ends."""
    processes = running(LONG, folder)
    processes[index].kill()
    began = time.monotonic()
    other = processes[1 - index]
    output, _ = other.communicate()
    processes[index].communicate()
    named = [r"process \d \(process id", "leader task", r"unhealthy[^\n]*\n\d"]
    said = [re.search(rf"[^\n]*{name}[^\n]*", output) for name in named]
    first = next((match[0] for match in said if match), output)
    print(
        f"process {index} killed: the other ended after {time.monotonic() - began:.1f} "
        f"s with {other.returncode}: {first}",
        flush=True,
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        finished([*TASK, "--out", str(folder / "one")])
        expected = losses(folder / "one")
        cases = [(1, n, 1) for n in (2, 4, 8)] + [(1, 8, 4), (2, 2, 1)]
        for processes, devices, shards in cases:
            out = folder / f"{processes}-{devices}-{shards}"
            words = [*TASK, "--out", str(out), "--devices", str(devices)]
            words += ["--shards", str(shards)]
            finished(words, processes, devices // processes)
            print(
                f"{processes} processes, {devices} devices, {shards} shards: "
                f"{difference(out, expected):.1e}",
                flush=True,
            )
        resumed(folder / "resumed", expected)
        for index in (1, 0):
            killed(folder / f"killed-{index}", index)


if __name__ == "__main__":
    main()
