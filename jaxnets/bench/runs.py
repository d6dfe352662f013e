"""A run of a suite: it times each case, prints it, and writes the files."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

from jaxnets.bench import tables
from jaxnets.bench.compiled.runs import compile_suite
from jaxnets.bench.grid import Row, chosen_rows
from jaxnets.bench.measurement import summaries
from jaxnets.bench.options import ALONE, PEERS, Options
from jaxnets.bench.pytorch.process import PeerError, TorchProcess, find_python
from jaxnets.bench.record import BenchmarkRecord, write_files
from jaxnets.bench.suites import CASES
from jaxnets.bench.suites.recurrent import FORMS
from jaxnets.bench.timing import time_case
from jaxnets.runs.files import printable
from jaxnets.training.machine import cores, devices, environment


# For each further program of ours, the column of a grid that asks for it.
VARIANT_COLUMNS = {
    "outside": "layers",
    "stored": "checkpoint",
    "plain": "every",
    **dict.fromkeys(FORMS, "forms"),
}


def run(options: Options) -> None:
    """Time or compile the rows that the options ask for; print and write the results.

    An interrupted run writes its files too, with the cases that it finished.

    Args:
        options: What to time and where to write it.

    Raises:
        ValueError: If no row matches, a peer or a compiler that was named is not
            installed, JAX has no device, or the arrays of a row do not fit into memory.

    Example:
        >>> from jaxnets.bench.options import Options
        >>> run(Options("training", rows="resnet", list=True))
        resnet: resnet 64x32x32x3 classes10 depth20
        resnet_epoch: resnet 64x32x32x3 classes10 depth20 updates16
    """
    rows = chosen_rows(options)
    if options.list:
        print("\n".join(f"{row.group}: {row.name}" for row in rows))
        return
    if options.compile_for is not None:
        with _room_for_arrays():
            compile_suite(options, rows)
        return
    # This raises an error if JAX has none, before anything is started.
    devices()
    default = () if options.suite in ALONE else PEERS
    peers = options.named_peers or default
    with contextlib.ExitStack() as stack:
        torch = None
        if "torch" in peers:
            try:
                torch = stack.enter_context(_torch_process(options))
            except PeerError as error:
                if "torch" in options.named_peers or options.torch_python:
                    raise ValueError(f"PyTorch cannot run: {error}") from error
                print(f"PyTorch is left out: {printable(str(error))}.")
                peers = tuple(peer for peer in peers if peer != "torch")
        facts = {"command": options.command, **environment()}
        facts |= torch.facts if torch else {}
        record = BenchmarkRecord(options.suite, _settings(options, peers), facts, [])
        legend = tables.legend(record.suite)
        print(tables.facts(facts), legend, sep="\n\n", end="\n\n", flush=True)
        try:
            with _room_for_arrays():
                _measure_all(rows, options, record, torch)
        finally:
            write_files(record, tables.markdown_page, options)
    if found := summaries(record.measurements, peers):
        print(f"\n{tables.summary_table(found)}")


@contextlib.contextmanager
def _room_for_arrays() -> Iterator[None]:
    """Tell in one line that the arrays of a row do not fit into memory."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "memory" not in str(error):
            raise
        raise ValueError(
            "The arrays of a row do not fit into memory. Pass a smaller --batch, "
            f"or name other --rows. JAX says: {error}"
        ) from error


def _settings(options: Options, peers: tuple[str, ...]) -> dict[str, Any]:
    rounds, sample_seconds = options.sampling
    return {"peers": list(peers), "rounds": rounds, "sample_seconds": sample_seconds}


def _torch_process(options: Options) -> TorchProcess:
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    return TorchProcess(find_python(options.torch_python), device, cores())


def _measure_all(
    rows: list[Row],
    options: Options,
    record: BenchmarkRecord,
    torch: TorchProcess | None,
) -> None:
    """Time the rows and print each case when it is done."""
    peers = record.settings["peers"]
    variants = [
        variant
        for variant, column in VARIANT_COLUMNS.items()
        if any(row.spec.get(column) for row in rows)
    ]
    titles = tables.header(peers, variants)
    name = max(len(row.name) for row in rows)
    ratios = [max(18, len(title)) for title in titles[5:]]
    widths = [name, 11, 13, 7, 8, *ratios]
    print(tables.aligned(titles, widths), flush=True)
    for row in rows:
        for case in CASES[options.suite](row):
            measurement = time_case(
                case,
                peers=tuple(peers),
                torch=torch,
                rounds=record.settings["rounds"],
                sample_seconds=record.settings["sample_seconds"],
            )
            record.measurements.append(measurement)
            cells = tables.cells(measurement, peers, variants)
            print(tables.aligned(cells, widths), flush=True)
            for who, reason in measurement.skipped.items():
                print(f"  {who} is left out: {printable(reason)}", flush=True)
