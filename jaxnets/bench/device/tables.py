"""The record of a device as text: a line for each row, and a page in Markdown."""

import math
import statistics
from collections.abc import Iterable
from typing import Any

from jaxnets.bench import tables
from jaxnets.bench.device.record import DeviceRecord
from jaxnets.bench.measurement import Measurement, summaries


# The contenders of a recurrence in the order of the columns.
CONTENDERS = ("scan", "split", "in_place", "pallas", "cudnn", "flax", "torch")
TITLES = {
    "recurrent": "Recurrences",
    "loop_options": "XLA's options for loops (LSTM)",
    "ops": "Single operations",
    "training": "Training steps",
    "gradflow": "What measuring the gradient flow adds to a training step",
}


def line_of(row: dict[str, Any]) -> str:
    """Return a short line about a row."""
    key = row["key"]
    if "failed" in row:
        return f"{key}: {row['failed']}"
    if "error" in row:
        verdict = "ok" if row["passed"] else "WRONG"
        return f"{key}: {verdict}, error {_error(row)}"
    if "contrast" in row:
        return f"{key}: {_contrast(row['contrast'])}"
    measured = (Measurement(**fields) for fields in row["measurements"])
    return f"{key}: {'; '.join(map(_short, measured))}"


def _short(m: Measurement) -> str:
    """Return our time, and the times of the others over it."""
    if "ours" not in m.seconds:
        times = [f"{who} {time_text(m.seconds[who])}" for who in m.seconds]
        return f"{m.direction}: {', '.join(times) or 'nothing ran'}"
    others = [
        f"{who} {_ratio(m, who)}" for who in m.seconds if who not in ("ours", m.plan)
    ]
    ours = " ".join(filter(None, (m.direction, m.plan, time_text(m.seconds["ours"]))))
    return f"{ours} ({', '.join(others)})" if others else ours


def page(record: DeviceRecord) -> str:
    """Return everything that was measured, as a page in Markdown."""
    parts = ["# jaxnets on a device"]
    parts += [tables.facts(e).replace("\n", ", ") + "." for e in record.environment]
    parts += _checks(record)
    for group, title in TITLES.items():
        if measurements := record.measurements(group):
            sections = {"recurrent": _recurrences, "loop_options": _loop_options}
            section = sections.get(group, _suite)
            parts += [f"## {title}", *section(measurements)]
    if row := record.rows.get("contrast: accelerator"):
        parts += ["## Contrast at accelerator scale", f"{line_of(row)}."]
    parts += _reasons(record)
    return "\n\n".join(parts) + "\n"


def time_text(seconds: list[float] | None) -> str:
    """Return the median of some times, such as "12.3 µs"; "-" if there are none.

    Example:
        >>> time_text([0.0021, 0.0012, 0.0013])
        '1.30 ms'
    """
    if not seconds:
        return "-"
    median = statistics.median(seconds)
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        if median * scale >= 1:
            return f"{_three(median * scale)} {unit}"
    return f"{_three(median * 1e6)} µs"


def _three(number: float) -> str:
    """Return a number with three digits, without an exponent."""
    digits = 2 - math.floor(math.log10(number)) if number > 0 else 0
    return f"{number:.{min(max(0, digits), 3)}f}"


def _checks(record: DeviceRecord) -> list[str]:
    rows = [row for row in record.rows.values() if row["group"] == "checks"]
    if not rows:
        return []
    cells = [
        [
            row["key"].partition(": ")[2],
            *(
                ["-", "-", f"not run: {row['failed']}"]
                if "failed" in row
                else [
                    _error(row),
                    f"{row['tolerance']:g}",
                    "yes" if row["passed"] else "NO",
                ]
            ),
        ]
        for row in rows
    ]
    titles = ["value and gradients", "largest error", "tolerance", "agrees"]
    return [
        "## Checks",
        "On the device beside the CPU in float64. The error is relative to the largest "
        "element of the same array.",
        tables.markdown_table(titles, cells),
    ]


def _error(row: dict[str, Any]) -> str:
    return "infinite or NaN" if row["error"] is None else f"{row['error']:.1e}"


def _recurrences(measurements: list[Measurement]) -> list[str]:
    """Return the means by cell, dtype and pass, and the times of every row."""
    who = [w for w in CONTENDERS if any(w in m.seconds for m in measurements)]
    peers = [w for w in ("flax", "torch", "cudnn") if w in who]
    cells = [
        [
            m.name,
            tables.pass_of(m.direction),
            m.plan,
            *(time_text(m.seconds.get(w)) for w in who),
            *(_ratio(m, peer) for peer in peers),
            " / ".join(_seconds(m.compile_seconds.get(w)) for w in ("ours", "flax")),
        ]
        for m in measurements
    ]
    titles = ["row", "pass", "chosen", *who]
    titles += [f"{peer} / ours" for peer in peers] + ["compile: ours / flax"]
    return [
        "The time of Flax over that of each implementation, geometric means over the "
        "rows that both have. Above 1 the implementation is faster than Flax.",
        _means(measurements, [w for w in who if w != "flax"]),
        "Median times of a call. `ours` is the implementation that is chosen. Programs "
        "compile side by side, so a time to compile is an upper bound. Products have "
        "the default precision of each library, which may be TF32 in float32.",
        tables.markdown_table(titles, cells),
    ]


def _means(measurements: list[Measurement], contenders: list[str]) -> str:
    groups: dict[tuple[str, str, str], list[Measurement]] = {}
    for m in measurements:
        key = (m.group, m.spec["dtype"], tables.pass_of(m.direction))
        groups.setdefault(key, []).append(m)
    cells = [
        [*key, *(_mean(_over(m, "flax", w) for m in of_group) for w in contenders)]
        for key, of_group in groups.items()
    ]
    titles = ["cell", "dtype", "pass", *(f"flax / {w}" for w in contenders)]
    return tables.markdown_table(titles, cells)


def _loop_options(measurements: list[Measurement]) -> list[str]:
    """Return for each row and pass the times of all variants."""
    cells = [
        [
            m.name,
            tables.pass_of(m.direction),
            "split" if who == "ours" else who,
            time_text(seconds),
            _number(_over(m, "ours", who)),
            _seconds(m.compile_seconds.get(who)),
        ]
        for m in measurements
        for who, seconds in m.seconds.items()
    ]
    titles = ["row", "pass", "variant", "time", "split / variant", "compile"]
    return [
        "`+WHILE`: loops as command buffers; `unrolled`: and their loops unrolled "
        "there; `unroll=n`: n steps of ours in one iteration.",
        tables.markdown_table(titles, cells),
    ]


def _suite(measurements: list[Measurement]) -> list[str]:
    """Return the tables of a suite of `jaxnets bench`."""
    measurements = [m for m in measurements if "ours" in m.seconds]
    peers = [p for p in ("flax", "torch") if any(p in m.seconds for m in measurements)]
    variants = [v for v in ("plain",) if any(v in m.seconds for m in measurements)]
    found = summaries(measurements, peers)
    legend = tables.legend("gradflow" if variants else "")
    cells = [_suite_cells(m, peers, variants) for m in measurements]
    titles = tables.header(peers, variants)
    summary = tables.markdown_table(
        tables.SUMMARY_HEADER, map(tables.summary_cells, found)
    )
    return [legend, *([summary] if found else []), tables.markdown_table(titles, cells)]


def _suite_cells(m: Measurement, peers: list[str], variants: list[str]) -> list[str]:
    cells = tables.cells(m, peers, variants)
    cells[4] = time_text(m.seconds["ours"])
    return cells


def _reasons(record: DeviceRecord) -> list[str]:
    """Return what did not run and why; each reason once."""
    reasons: dict[str, list[str]] = {}
    for row in record.rows.values():
        if row["group"] == "checks":
            continue
        if "failed" in row:
            reasons.setdefault(row["failed"], []).append(row["key"])
        for fields in row.get("measurements", []):
            for who, reason in fields["skipped"].items():
                name = f"{row['key']}, {fields['direction']}: {who}"
                reasons.setdefault(f"{who}: {reason}", []).append(name)
    if not reasons:
        return []
    lines = [
        f"- {reason} ({names[0]}"
        + (f" and {len(names) - 1} more)" if len(names) > 1 else ")")
        for reason, names in reasons.items()
    ]
    return ["## What did not run", "\n".join(lines)]


def _contrast(found: dict[str, Any]) -> str:
    return (
        f"{len(found['ended'])} of {found['arms']} arms of "
        f"{', '.join(found['studies'])} in {found['seconds']:.0f} s"
        + (", then stopped" if found["interrupted"] else "")
    )


def _over(m: Measurement, above: str, below: str) -> float | None:
    """Return the median time of a contender over that of another one."""
    if not m.seconds.get(above) or not m.seconds.get(below):
        return None
    return statistics.median(m.seconds[above]) / statistics.median(m.seconds[below])


def _ratio(m: Measurement, peer: str) -> str:
    return _number(_over(m, peer, "ours"))


def _mean(ratios: Iterable[float | None]) -> str:
    found = [math.log(ratio) for ratio in ratios if ratio]
    return _number(math.exp(statistics.fmean(found)) if found else None)


def _number(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"
