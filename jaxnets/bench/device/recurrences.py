"""Recurrences on a device: each implementation by name, and XLA's options for loops."""

import functools
from collections.abc import Iterator
from typing import Any

from jaxnets.bench.cases import Case, Program, with_gradients
from jaxnets.bench.grid import Row
from jaxnets.bench.suites import recurrent
from jaxnets.functional.recurrence.cells import CELLS


# The implementations of `rnn`, `gru` and `lstm`. If a cell does not have one, or if it
# cannot run on this device, tracing raises an error that says so.
IMPLEMENTATIONS = ("scan", "split", "in_place", "pallas", "cudnn")
FUNCTIONS = ("lstm", "gru", "rnn")
DTYPES = ("float32", "bfloat16")

# XLA records sequences of kernels as CUDA graphs, which it calls command buffers. By
# default it does not record loops. These are its default kinds of instructions, and
# loops. (`XLA_FLAGS` would accept "+WHILE", but an option of one program does not.)
_KINDS = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,DYNAMIC_SLICE_FUSION,WHILE"
_WHILE = {"xla_gpu_enable_command_buffer": _KINDS}
_UNROLLED = {**_WHILE, "xla_gpu_command_buffer_unroll_loops": True}
LOOP_OPTIONS = {
    "split +WHILE": _WHILE,
    "split +WHILE unrolled": _UNROLLED,
    "scan +WHILE": _WHILE,
    "scan +WHILE unrolled": _UNROLLED,
    "flax +WHILE": _WHILE,
}
UNROLLS = (4, 8, 16)


def cases(row: Row) -> Iterator[Case]:
    """Yield forward and gradients: ours as chosen and by name, and Flax."""
    programs = _programs(row)
    for name in IMPLEMENTATIONS:
        programs[name] = _ours(row, programs, implementation=name)
    yield Case(row, "forward", programs)
    yield Case(row, "gradients", with_gradients(programs))


def loop_option_cases(row: Row) -> Iterator[Case]:
    """Yield forward and gradients of plain loops under options of XLA, and unrolled."""
    programs = _programs(row)
    split = programs["ours"] = _ours(row, programs, implementation="split")
    scan = programs["scan"] = _ours(row, programs, implementation="scan")
    plain = {"split": split, "scan": scan, "flax": programs["flax"]}
    programs |= {name: plain[name.split()[0]] for name in LOOP_OPTIONS}
    for steps in UNROLLS:
        options = {"implementation": "split", "unroll": steps}
        programs[f"split unroll={steps}"] = _ours(row, programs, **options)
    yield Case(row, "forward", programs, in_torch=False)
    yield Case(row, "gradients", with_gradients(programs), in_torch=False)


def _programs(row: Row) -> dict[str, Program]:
    """Return the programs that `jaxnets bench recurrent` times, ours and Flax."""
    return dict(next(recurrent.cases(row)).programs)


def _ours(row: Row, programs: dict[str, Program], **options: Any) -> Program:
    """Return our program with these options."""
    run = functools.partial(CELLS[row.spec["function"]].run, **options)
    return Program(lambda params, x: run(params, x)[1], programs["ours"].arguments)
