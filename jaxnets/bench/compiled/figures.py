"""The figures of compiled programs, and the record that `--json` writes of them."""

import dataclasses
import json
from typing import Any

from jaxnets.bench.compiled.chips import Chip
from jaxnets.bench.compiled.cost import Cost
from jaxnets.bench.measurement import Ratio


# The figures by which programs are compared, and their attributes.
COMPARED = {
    "bytes": "bytes",
    "main memory": "main_bytes",
    "time": "roofline_seconds",
}
# Those of them that have a minimum. Flax's figure over it bounds Flax's over ours.
BOUNDED = ("bytes", "main memory")
RATIOS = (
    *(f"{figure}, Flax / ours" for figure in COMPARED),
    *(f"{figure}, Flax / minimum" for figure in BOUNDED),
)


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one call of a program costs on a chip.

    Attributes:
        bytes: The bytes that its kernels read and write, in any memory.
        main_bytes: Those of them in the chip's main memory.
        minimum_bytes: The bytes of its arguments and results, which lie in main memory.
            A program that needs each element of the arguments moves at least these.
        flops: Its operations.
        kernels: The kernels that it starts.
        temp_bytes: The main memory that it needs beside arguments and results.
        roofline_seconds: The time that it takes at least: that of moving its bytes of
            main memory, or of its operations if that is longer.
        unknown_loops: Loops that are counted as if they ran once, because the program
            does not say how often they run.
        compile_seconds: The seconds that the compiler took.
    """

    bytes: int
    main_bytes: int
    minimum_bytes: int
    flops: int
    kernels: int
    temp_bytes: int
    roofline_seconds: float
    unknown_loops: int
    compile_seconds: float

    def over_minimum(self, figure: str) -> float | None:
        """Return its bytes over the minimum, or None if that is zero.

        Args:
            figure: One of `BOUNDED`.
        """
        found = getattr(self, COMPARED[figure])
        return found / self.minimum_bytes if self.minimum_bytes else None


@dataclasses.dataclass(frozen=True)
class CompiledCase:
    """One computation, as each contender compiles.

    Attributes:
        name: Name of the row.
        group: Group of the row.
        direction: Direction of the case.
        spec: The `spec` of the row.
        programs: The figures of each contender.
        skipped: For each contender that did not compile, the reason.
    """

    name: str
    group: str
    direction: str
    spec: dict[str, Any]
    programs: dict[str, Figures]
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)

    def over_ours(self, who: str, figure: str) -> float | None:
        """Return a figure of a contender over ours, or None if one is missing.

        Args:
            who: Name of the contender.
            figure: One of `COMPARED`.
        """
        if not {who, "ours"} <= self.programs.keys():
            return None
        ours = getattr(self.programs["ours"], COMPARED[figure])
        return getattr(self.programs[who], COMPARED[figure]) / ours if ours else None

    def ratio(self, peer: str) -> Ratio | None:
        """Return a ratio of Flax's figures as `summaries` wants it.

        Args:
            peer: One of `RATIOS`, which takes the place of a peer.
        """
        figure, _, below = peer.partition(", Flax / ")
        if below == "ours":
            found = self.over_ours("flax", figure)
        else:
            flax = self.programs.get("flax")
            found = flax and flax.over_minimum(figure)
        return None if found is None else Ratio(found, found, found)


@dataclasses.dataclass(frozen=True)
class CompiledRecord:
    """The results of one call of `jaxnets bench --compile-for`.

    Attributes:
        suite: The name of the suite.
        chip: What is known of the chip, as in `chips.py`.
        environment: Versions, and the machine that compiled.
        cases: Every case with all its figures.
    """

    suite: str
    chip: dict[str, Any]
    environment: dict[str, Any]
    cases: list[CompiledCase]


def figures_of(
    cost: Cost,
    chip: Chip,
    dtype: str,
    minimum_bytes: int,
    temp_bytes: int,
    seconds: float,
) -> Figures:
    """Return the figures of a program.

    Args:
        cost: What it costs.
        chip: The chip that it was compiled for.
        dtype: The dtype of its numbers.
        minimum_bytes: The bytes of its arguments and results.
        temp_bytes: The memory that it needs beside arguments and results.
        seconds: The seconds that the compiler took.

    Example:
        >>> from jaxnets.bench.compiled.chips import CHIPS
        >>> cost = Cost(moved=2e9, main=8.2e8, flops=1e9, kernels=1)
        >>> figures_of(cost, CHIPS["v5e"], "float32", 0, 0, 1.0).roofline_seconds
        0.001
    """
    least = max(cost.main / chip.bandwidth, cost.flops / chip.peak[dtype])
    return Figures(
        bytes=round(cost.moved),
        main_bytes=round(cost.main),
        minimum_bytes=minimum_bytes,
        flops=round(cost.flops),
        kernels=cost.kernels,
        temp_bytes=temp_bytes,
        roofline_seconds=least,
        unknown_loops=cost.loops,
        compile_seconds=seconds,
    )


def read_compiled_record(text: str) -> CompiledRecord:
    """Return the record that is in the text of a file that `--json` wrote."""
    fields = json.loads(text)
    cases = [
        CompiledCase(**each | {"programs": _programs(each["programs"])})
        for each in fields.pop("cases")
    ]
    return CompiledRecord(**fields, cases=cases)


def _programs(found: dict[str, dict[str, Any]]) -> dict[str, Figures]:
    return {who: Figures(**fields) for who, fields in found.items()}
