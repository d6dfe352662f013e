"""What `jaxnets bench` can be asked for. The standard library alone, for `--help`."""

import dataclasses
import re
from pathlib import Path
from typing import Literal


SUITES = ("ops", "recurrent", "training", "gradflow")
DTYPES = ("float32", "bfloat16", "float16")
PEERS = ("flax", "torch")
# Rounds and seconds a sample lasts at least, asked for by `--quick`.
QUICK = (3, 0.005)


@dataclasses.dataclass(frozen=True)
class Options:
    """What to time, beside whom, and where to write it.

    Attributes:
        suite: What to time: single operations, recurrences, a training step, or what
            measuring gradient flow adds to one.
        rows: Only rows whose name or group contains this; shell wildcards, several
            with commas.
        rounds: How many rounds to take the median of.
        quick: Three rounds of short samples: a first look.
        peers: Beside whom, such as flax,torch; by default all that are here.
        batch: Batch size of every row, in place of the grid's.
        dtype: Number type of every row, in place of the grid's.
        torch_python: Python interpreter that has PyTorch; by default
            $JAXNETS_TORCH_PYTHON, or this one if it has it.
        json: File to write every sample into.
        markdown: File to write the tables into.
        list: Print the rows instead of timing them.

    Raises:
        ValueError: If an option has a wrong value.
    """

    suite: Literal["ops", "recurrent", "training", "gradflow"] = "ops"
    rows: str = "*"
    rounds: int = 7
    quick: bool = False
    peers: str | None = None
    batch: int | None = None
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    torch_python: Path | None = None
    json: Path | None = None
    markdown: Path | None = None
    list: bool = False

    def __post_init__(self):
        for name, number in (("rounds", self.rounds), ("batch", self.batch)):
            if number is not None and number < 1:
                raise ValueError(f"--{name} is {number}; wanted at least 1.")
        if self.dtype not in (None, *DTYPES):
            raise ValueError(
                f"--dtype is {self.dtype!r}; wanted one of {', '.join(DTYPES)}."
            )
        networks = self.suite in ("training", "gradflow")
        if networks and self.dtype not in (None, "float32"):
            raise ValueError(
                f"--dtype is {self.dtype}; wanted float32: the networks of the "
                f"{self.suite} suite have no other."
            )
        if self.suite == "gradflow" and self.peers is not None:
            raise ValueError(
                f"--peers is {self.peers!r}; wanted none: the gradflow suite times "
                "this library alone."
            )
        unknown = [peer for peer in self.named_peers if peer not in PEERS]
        if unknown:
            raise ValueError(
                f"--peers names {unknown[0]!r}; wanted some of {', '.join(PEERS)}."
            )
        for name, path in (("json", self.json), ("markdown", self.markdown)):
            if path is not None and not path.parent.is_dir():
                raise ValueError(
                    f"--{name} is {path}; wanted a file in a folder that exists."
                )

    @property
    def named_peers(self) -> tuple[str, ...]:
        """The peers that were asked for by name."""
        return tuple(filter(None, (self.peers or "").split(",")))

    @property
    def sampling(self) -> tuple[int, float]:
        """Rounds, and the least seconds of a sample."""
        return QUICK if self.quick else (self.rounds, 0.02)


def help_texts() -> dict[str, str]:
    """Return the help of each option, from the docstring of `Options`.

    Returns:
        Texts by the option's name.

    Example:
        >>> help_texts()["rounds"]
        'How many rounds to take the median of.'
    """
    attributes = (Options.__doc__ or "").partition("Attributes:")[2]
    attributes = attributes.partition("Raises:")[0]
    entry = re.compile(r"^ {8}(\w+): (.+(?:\n {12}.+)*)", re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entry.findall(attributes)}
