"""The options of `jaxnets bench`. It does not import JAX, so that `--help` is fast."""

import dataclasses
import shlex
import tempfile
from pathlib import Path
from typing import Literal, get_args

from jaxnets.runs.files import DEVICES


Suite = Literal["ops", "recurrent", "training", "gradflow", "stack"]
DType = Literal["float32", "bfloat16", "float16"]
ChipName = Literal["v4", "v5e", "v5p", "v6e", "7x", "h200"]
SUITES: tuple[str, ...] = get_args(Suite)
DTYPES: tuple[str, ...] = get_args(DType)
CHIP_NAMES: tuple[str, ...] = get_args(ChipName)
PEERS = ("flax", "torch")
# The suites that compare this library with itself.
ALONE = ("gradflow", "stack")
# The rounds, and the least seconds of a sample, that `--quick` asks for.
QUICK = (3, 0.005)
# What a command line has in another form, and what changes no figure.
UNSAID = ("suite", "torch_python", "json", "markdown", "list")
# The largest values that make sense: more rounds say nothing new, and the arrays of a
# larger batch fit nowhere.
MOST = {"rounds": 1000, "batch": 1_000_000}


@dataclasses.dataclass(frozen=True)
class Options:
    """What to time, which peers to compare with, and where to write the results.

    Attributes:
        suite: What to time: single operations, recurrences, a training step, what
            measuring gradient flow adds to one, or stacks of blocks; ops by default.
        rows: Time only the rows whose name or group contains this text, which may have
            shell wildcards; commas separate several texts.
        rounds: How many rounds to take the median of; 7 by default.
        quick: Run three rounds of short samples, for a first look.
        peers: Peers to compare with, such as flax,torch; by default all that are
            installed.
        batch: Batch size of every row, instead of its own.
        dtype: Dtype of every row, instead of its own.
        torch_python: Python interpreter that has PyTorch; by default
            $JAXNETS_TORCH_PYTHON, or this interpreter if it has PyTorch.
        json: File to write every sample into.
        markdown: File to write the tables into.
        list: Print the rows instead of timing them.
        compile_for: Time nothing. Compile the rows for this chip, which this machine
            need not have, and print what the programs cost; without --dtype in float32
            and bfloat16.

    Raises:
        ValueError: If an option has a wrong value.

    Example:
        >>> Options("recurrent", rounds=3).sampling
        (3, 0.02)
    """

    suite: Suite = "ops"
    rows: str = "*"
    rounds: int = 7
    quick: bool = False
    peers: str | None = None
    batch: int | None = None
    dtype: DType | None = None
    torch_python: Path | None = None
    json: Path | None = None
    markdown: Path | None = None
    list: bool = False
    compile_for: ChipName | None = None

    def __post_init__(self):
        for name, most in MOST.items():
            number = getattr(self, name)
            if number is not None and not 1 <= number <= most:
                wanted = "at least 1" if number < 1 else f"at most {most}"
                raise ValueError(f"--{name} is {number}; wanted {wanted}.")
        for name, value, wanted in (
            ("suite", self.suite, SUITES),
            ("dtype", self.dtype, DTYPES),
            ("compile-for", self.compile_for, CHIP_NAMES),
        ):
            if value is not None and value not in wanted:
                raise ValueError(
                    f"--{name} is {value!r}; wanted one of {', '.join(wanted)}."
                )
        self._check_networks()
        self._check_compiled()
        unknown = [peer for peer in self.named_peers if peer not in PEERS]
        if unknown:
            raise ValueError(
                f"--peers names {unknown[0]!r}; wanted some of {', '.join(PEERS)}."
            )
        if self.peers is not None and not self.named_peers:
            raise ValueError(
                f"--peers is {self.peers!r}; wanted some of {', '.join(PEERS)}."
            )
        if not self.patterns:
            raise ValueError(
                f"--rows is {self.rows!r}; wanted a text to look for in the names of "
                "rows; --list shows them."
            )
        self._check_files()

    def _check_files(self) -> None:
        """Check that the results can be written, before anything is timed."""
        for name, path in (("json", self.json), ("markdown", self.markdown)):
            if path is None:
                continue
            if str(path.parent) in DEVICES:
                continue
            there = path.is_file() if path.exists() else path.parent.is_dir()
            if not there:
                raise ValueError(
                    f"--{name} is {path}; wanted a file in a folder that exists."
                )
            try:
                with tempfile.TemporaryFile(dir=path.parent):
                    pass
            except OSError as error:
                raise ValueError(
                    f"--{name} is {path}; wanted a file in a folder that can be "
                    f"written ({error.strerror})."
                ) from error
        if self.json is not None and self.json == self.markdown:
            raise ValueError(
                f"--json and --markdown are both {self.json}; name two files."
            )

    def _check_networks(self) -> None:
        """Check the options that the suites of whole networks do not support."""
        networks = self.suite in ("training", *ALONE)
        if networks and self.dtype not in (None, "float32"):
            raise ValueError(
                f"--dtype is {self.dtype}; wanted float32, the only number type of "
                f"the networks in the {self.suite} suite."
            )
        if self.suite in ALONE and self.peers is not None:
            raise ValueError(
                f"--peers is {self.peers!r}; wanted none: the {self.suite} suite times "
                "this library alone."
            )

    def _check_compiled(self) -> None:
        """Check the options that have no meaning where nothing is timed."""
        if self.compile_for is None:
            return
        if self.suite in ALONE:
            raise ValueError(
                "--compile-for is for the suites ops, recurrent and training; the "
                f"suite is {self.suite}, which compares times."
            )
        if self.peers not in (None, "flax"):
            raise ValueError(
                f"--peers is {self.peers!r}; wanted flax or none with --compile-for: "
                "PyTorch compiles nothing ahead."
            )
        if self.quick or self.rounds != Options.rounds:
            raise ValueError(
                "--quick and --rounds say how to time, and --compile-for times "
                "nothing; leave them out."
            )

    @property
    def command(self) -> str:
        """The command line that gives these figures.

        Example:
            >>> Options("ops", rows="conv:", quick=True).command
            'jaxnets bench ops --rows conv: --quick'
        """
        words = ["jaxnets", "bench", self.suite]
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in UNSAID and value != field.default:
                words.append(f"--{field.name.replace('_', '-')}")
                words += [] if value is True else [str(value)]
        return shlex.join(words)

    @property
    def dtypes(self) -> tuple[DType | None, ...]:
        """The dtypes to take every row in; None is that of the row itself."""
        if self.dtype is None and self.compile_for and self.suite != "training":
            return ("float32", "bfloat16")
        return (self.dtype,)

    @property
    def named_peers(self) -> tuple[str, ...]:
        """The peers that were asked for by name."""
        return _words(self.peers or "")

    @property
    def patterns(self) -> tuple[str, ...]:
        """The texts to look for in the names of rows."""
        return _words(self.rows)

    @property
    def sampling(self) -> tuple[int, float]:
        """The number of rounds, and the least seconds of a sample."""
        return QUICK if self.quick else (self.rounds, 0.02)


def _words(text: str) -> tuple[str, ...]:
    """Return the words between commas, each once."""
    return tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
