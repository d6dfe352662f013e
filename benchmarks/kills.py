"""Kill a training at random moments, and compare how it ends.

`PYTHONPATH=. python benchmarks/kills.py`

Each round begins a run, kills it with SIGKILL at a random moment, also while it saves
or cleans up, and starts it again until it ends. Its weights must be those of a run that
was never touched, to the last bit. Needs nothing but the tests' small network.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


COMMAND = [sys.executable, "-m", "tests.training.recovery"]


def ended(folder: Path) -> str:
    """Run to the end and return the digest of the weights."""
    done = subprocess.run(
        [*COMMAND, folder], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1]


def killed(folder: Path, draw: random.Random) -> str:
    """Begin, kill after the first update that is seen, and run to the end."""
    process = subprocess.Popen([*COMMAND, folder], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    last = draw.randrange(1, 60)
    for line in process.stdout:
        if len(line) > 60 or int(line) >= last:
            break
    time.sleep(draw.uniform(0, 0.05))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
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
