"""Measure on an accelerator for some minutes, what matters most first.

On the default device of JAX it measures what matters most first, until everything is
measured or the time is over: whether our functions compute the right values there;
recurrences by each implementation, beside Flax and PyTorch; XLA's options for loops;
single operations; training steps; what measuring the gradient flow costs; and a
contrast.

    PYTHONPATH=. python3 benchmarks/on_device.py --minutes 10 --out on_device.json
    PYTHONPATH=. python3 benchmarks/on_device.py --tables on_device.json

The file is rewritten after every row. A second start with the same file measures only
the rows that are missing. If a program hangs or breaks the device, the file says so,
and a new process measures the rest. It needs JAX, Flax, Optax, jaxtyping and rich, and
no plotting library.
"""

import argparse
import sys
from pathlib import Path

from jaxnets.bench.device.options import SHARES, DeviceOptions
from jaxnets.bench.device.record import read_record, write_record
from jaxnets.bench.device.supervisor import supervise
from jaxnets.bench.device.tables import page


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure for some minutes on the default device of JAX, what "
        "matters most first. benchmarks/README.md explains the groups."
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="minutes in all")
    parser.add_argument(
        "--out", type=Path, default=Path("on_device.json"), help="file of the record"
    )
    parser.add_argument(
        "--groups",
        default=",".join(SHARES),
        help=f"what to measure, in this order; by default {', '.join(SHARES)}",
    )
    parser.add_argument(
        "--peers", default="flax,torch", help="flax, torch or both; by default both"
    )
    parser.add_argument("--rows", type=int, help="at most so many rows of each group")
    parser.add_argument(
        "--only",
        default="",
        help="measure only rows whose name contains one of these texts",
    )
    parser.add_argument(
        "--without", default="", help="contenders to leave out, such as in_place"
    )
    parser.add_argument(
        "--again", help="measure rows whose name contains this text once more"
    )
    parser.add_argument("--rounds", type=int, default=5, help="samples of each program")
    parser.add_argument(
        "--sizes", default="full", help="full, or tiny to try everything on a CPU"
    )
    parser.add_argument(
        "--tables", type=Path, metavar="FILE", help="print the tables of a record"
    )
    return parser.parse_args(arguments)


def words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def main(arguments: list[str] | None = None) -> int:
    given = parse(arguments)
    if given.tables:
        print(page(read_record(given.tables)))
        return 0
    options = DeviceOptions(
        minutes=given.minutes,
        groups=words(given.groups),
        peers=words(given.peers),
        sizes=given.sizes,
        rows=given.rows,
        only=words(given.only),
        without=words(given.without),
        rounds=given.rounds,
    )
    if given.again:
        record = read_record(given.out)
        record.forget(given.again)
        write_record(given.out, record)
    code = supervise(options, given.out)
    print(page(read_record(given.out)), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
