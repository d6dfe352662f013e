"""What checkpoints cost, and how long a resumed run takes to its first update.

`PYTHONPATH=. python benchmarks/checkpoints.py`

Each task trains with its recipe for three of its checkpoint intervals, or with
`--intervals`. The loop waits for a checkpoint while its arrays are copied, and when it
is complete while its files are hashed; that time is printed as a share of the loop's
time without evaluations. The files themselves are written in the background.

Then the run is resumed in a process of its own, with JAX's compilation cache, and the
seconds from the start of Python to the end of the first update are printed, with those
of the processor. They depend on whether Python finds its modules compiled to bytecode,
as `uv sync --compile-bytecode` or an earlier start leaves them.
"""

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jaxnets.runs.catalogue import TASKS
from jaxnets.tasks import TrainConfig, run_task, task_of
from jaxnets.training.trainer.calls import Calls
from jaxnets.training.trainer.checkpoints import Checkpoints


RESUME = """
import sys, time
from pathlib import Path
from jaxnets.tasks import TrainConfig, run_task
def stop():
    started = float(sys.argv[2])
    print(f"{time.time() - started:.1f} s, {time.process_time():.1f} s of processor")
    return True
folder = Path(sys.argv[1])
run_task(TrainConfig.read(folder), folder, asked_to_stop=stop)
"""


def timed(owner: type, name: str, seconds: list[float]) -> None:
    """Replace a method by one that notes how long it takes."""
    function = getattr(owner, name)

    def noting(*arguments, **options):
        began = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            seconds.append(time.perf_counter() - began)

    setattr(owner, name, noting)


def cost(name: str, intervals: int, folder: Path) -> None:
    """Train a task, and print what its checkpoints cost."""
    waited, computed = [], []
    for method in ("save", "complete"):
        timed(Checkpoints, method, waited)
    timed(Calls, "advance", computed)
    recipe = task_of(name).recipe
    last = recipe.checkpoint_every * intervals
    # The recipe keeps its steps, so that the run can be resumed after these.
    recipe = dataclasses.replace(recipe, steps=last + 100)
    run_task(
        TrainConfig(name, recipe),
        folder,
        asked_to_stop=lambda: len(list(folder.glob("checkpoints/*"))) >= intervals,
    )
    # The first call compiles.
    total = sum(computed[1:]) + sum(waited)
    print(
        f"{name}: {intervals} checkpoints, every {recipe.checkpoint_every} updates; "
        f"{total:.1f} s, of which {sum(waited):.3f} s for checkpoints: "
        f"{100 * sum(waited) / total:.2f} % "
        f"({', '.join(f'{t:.3f}' for t in waited if t > 0.001)})",
        flush=True,
    )


def resumed(folder: Path, cache: Path) -> None:
    """Resume twice, the first time to fill the cache, and print how long it takes."""
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)}
    environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    for _ in range(2):
        command = [sys.executable, "-c", RESUME, folder, str(time.time())]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        )
    print(f"resumed with the cache: {done.stdout.strip()}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--intervals", type=int, default=3)
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as path:
        for name in options.tasks:
            folder = Path(path, name)
            cost(name, options.intervals, folder)
            resumed(folder, Path(path, "cache"))


if __name__ == "__main__":
    main()
