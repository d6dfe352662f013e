"""The jobs of each group, in the order of importance."""

from collections.abc import Callable, Iterator
from typing import Any

from jaxnets.bench.device import recurrences
from jaxnets.bench.device.checks import CheckJob, check_jobs
from jaxnets.bench.device.contrast_job import ContrastJob
from jaxnets.bench.device.options import DeviceOptions
from jaxnets.bench.device.rows import RowJob, Suite
from jaxnets.bench.grid import Row, read_grid
from jaxnets.bench.suites import gradflow, ops, training


# One row of the record each. A job has its `group`, its `key` and about how many
# `programs` it compiles; `prepare` begins to compile in the threads of a session, and
# `run` measures alone and returns the fields of the row.
Job = RowJob | CheckJob | ContrastJob

SUITES = {
    "recurrent": Suite("recurrent", recurrences.cases, 12, torch=True),
    "loop_options": Suite(
        "loop_options",
        recurrences.loop_option_cases,
        20,
        planned=False,
        options=recurrences.LOOP_OPTIONS,
    ),
    "ops": Suite("ops", ops.cases, 4, left_out=("outside",)),
    "training": Suite("training", training.cases, 2, torch=True, planned=False),
    "gradflow": Suite("gradflow", gradflow.cases, 6, planned=False),
}
# The batch size of `ops`, whose grid has sizes for CPUs, and of half the rows of
# `training`.
BATCH = 256
# The largest sizes of `--sizes tiny`.
TINY = {
    "batch": 2,
    "time": 5,
    "in_features": 4,
    "hidden": 6,
    "depth": 8,
    "every": 3,
    "spatial": 9,
}


def jobs(group: str, options: DeviceOptions) -> list[Job]:
    """Return the jobs of a group, the most important first."""
    found: list[Job]
    if group == "checks":
        found = list(check_jobs())
    elif group == "contrast":
        found = [ContrastJob()]
    else:
        shrink = _tiny if options.sizes == "tiny" else lambda row: row
        rows = {row.name: row for row in map(shrink, ROWS[group]())}
        found = [RowJob(SUITES[group], row) for row in rows.values()]
    return [job for job in found if options.wants(job.key)][: options.rows]


def _recurrent() -> Iterator[Row]:
    for row in _device_grid("recurrent"):
        for dtype in recurrences.DTYPES:
            for function in recurrences.FUNCTIONS:
                yield Row(function, row.spec | {"function": function, "dtype": dtype})


def _ops() -> Iterator[Row]:
    """Yield each row in both dtypes: pools, convolutions, and last those in a scan."""
    # On accelerators a plain convolution compiles to the program of Flax. So pools come
    # first.
    order = lambda row: (row.spec["layers"] is not None, "pool" not in row.group)
    for row in sorted(read_grid("ops"), key=order):
        for dtype in ("float32", "bfloat16"):
            group = row.group.removesuffix("_bfloat16")
            yield Row(group, row.spec | {"batch": BATCH, "dtype": dtype})


def _training() -> Iterator[Row]:
    for row in read_grid("training"):
        yield Row(row.group, row.spec | {"batch": BATCH})
        yield row


def _device_grid(group: str) -> list[Row]:
    return [row for row in read_grid("device") if row.group == group]


ROWS: dict[str, Callable[[], Any]] = {
    "recurrent": _recurrent,
    "loop_options": lambda: _device_grid("loop_options"),
    "ops": _ops,
    "training": _training,
    "gradflow": lambda: read_grid("gradflow"),
}


def _tiny(row: Row) -> Row:
    """Return the row with sizes that take hardly any time."""
    spec = {
        name: [min(n, TINY[name]) for n in value]
        if isinstance(value, list)
        else min(value, TINY[name])
        if name in TINY
        else value
        for name, value in row.spec.items()
    }
    return Row(row.group, spec)
