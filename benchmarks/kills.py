"""Kill a training at random moments, and compare how it ends.

`PYTHONPATH=. python benchmarks/kills.py`

Each round begins a run, kills it with SIGKILL at a random moment, also while it saves
or cleans up, and starts it again until it ends. Its weights must be those of a run that
was never touched, to the last bit. Needs nothing but the tests' small network.
"""

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path


# Importing takes most of the time of so short a run, so a server imports once and forks
# a process for each run. It computes nothing itself.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.training.recovery", "orbax.checkpoint"])


def train(folder: Path, seen: Connection) -> None:
    """Train; send the step after every call, and the digest of the weights."""
    from tests.training.recovery import run

    seen.send(run(folder, on_call=lambda step, _: seen.send(step)).params_sha256)


def started(folder: Path) -> tuple[BaseProcess, Connection]:
    seen, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=train, args=(folder, theirs))
    process.start()
    theirs.close()
    return process, seen


def ended(folder: Path) -> str:
    """Run to the end and return the digest of the weights."""
    process, seen = started(folder)
    while not isinstance(found := seen.recv(), str):
        pass
    process.join()
    return found


def killed(folder: Path, draw: random.Random) -> str:
    """Begin, kill after the first update that is seen, and run to the end."""
    process, seen = started(folder)
    last = draw.randrange(1, 60)
    while isinstance(step := seen.recv(), int) and step < last:
        pass
    time.sleep(draw.uniform(0, 0.05))
    process.kill()
    process.join()
    return ended(folder)


def main() -> None:
    """Print how many runs ended with the weights of the untouched one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        expected = ended(Path(folder, "untouched"))
        equal = 0
        for number in range(options.kills):
            equal += killed(Path(folder, str(number)), draw) == expected
            print(f"{equal} of {number + 1} equal", flush=True)
    sys.exit(equal < options.kills)


if __name__ == "__main__":
    main()
