"""The rows of a grid, read from the TOML files in `grids/`."""

import dataclasses
import fnmatch
import itertools
import tomllib
from pathlib import Path
from typing import Any

from jaxnets.bench.options import Options


GRIDS = Path(__file__).with_name("grids")
# The letter that stands for a column in the name of a row.
LETTERS = {"window": "k", "strides": "s", "dilation": "d", "groups": "g"}
# The columns that a name joins with x; the features of the output follow them.
SIZES = ("batch", "spatial", "time", "channels", "in_features")
# A name leaves out the columns that have these values.
DEFAULTS = {"strides": 1, "dilation": 1, "groups": 1, "layers": None}


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a grid.

    Attributes:
        group: The name of its table in the grid.
        spec: `function`, `dtype` and the columns, as values that JSON can hold.
    """

    group: str
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        """The function, the sizes, and each column that has no default value.

        The sizes are `batch x spatial axes or time x channels - features`.
        """
        spec = dict(self.spec)
        function, dtype, layers = (spec.pop(k) for k in ("function", "dtype", "layers"))
        sizes = itertools.chain.from_iterable(
            size if isinstance(size, list) else [size]
            for size in (spec.pop(name) for name in SIZES if name in spec)
        )
        words = [f"scan{layers} {function}" if layers else function]
        words.append("x".join(map(str, sizes)))
        for name in ("features", "hidden"):
            if name in spec:
                words[-1] += f"-{spec.pop(name)}"
        words += [
            _word(name, value)
            for name, value in spec.items()
            if value is not False and value != DEFAULTS.get(name)
        ]
        return " ".join(words if dtype == "float32" else [*words, dtype])


def _word(name: str, value: str | int) -> str:
    if value is True:
        return name
    return (
        f"{name}={value}"
        if isinstance(value, str)
        else f"{LETTERS.get(name, name)}{value}"
    )


def read_grid(suite: str) -> list[Row]:
    """Return all rows of a suite, in the order of the file.

    Args:
        suite: Name of the file without its ending, such as "ops".

    Returns:
        The rows. Columns that a table does not name have their default values.

    Example:
        >>> read_grid("ops")[0].name
        'conv 32x32x32x16-16 k3'
    """
    rows = []
    for group, table in tomllib.loads((GRIDS / f"{suite}.toml").read_text()).items():
        columns, lines = table.pop("columns"), table.pop("rows")
        fixed = {"dtype": "float32", "layers": None} | table
        for line in lines:
            own = dict(zip(columns, line, strict=True))
            # The order of the keys is that of the words in the row's name: the keys
            # that a whole table shares come last.
            spec = own | fixed | own
            rows.append(
                Row(group, spec | {n: v for n, v in DEFAULTS.items() if n not in spec})
            )
    return rows


def chosen_rows(options: Options) -> list[Row]:
    """Return the rows that the options choose, with their batch size and dtype.

    Args:
        options: Of these, `suite`, `rows`, `batch` and `dtypes` are read.

    Returns:
        The rows. If `batch` or `dtype` makes rows equal, only the first one is kept.

    Raises:
        ValueError: If no row is left.
    """
    rows: list[Row] = []
    grid = read_grid(options.suite)
    if options.compile_for:
        # Flax's epochs are loops in Python, which are no program.
        grid = [row for row in grid if "updates" not in row.spec]
    for row, dtype in itertools.product(grid, options.dtypes):
        changes = {"batch": options.batch, "dtype": dtype}
        changes = {name: value for name, value in changes.items() if value is not None}
        row = Row(row.group, row.spec | changes)
        if all(row.spec != earlier.spec for earlier in rows):
            rows.append(row)
    chosen = [
        row
        for row in rows
        if any(
            fnmatch.fnmatch(f"{row.group}: {row.name}", f"*{pattern}*")
            for pattern in options.patterns
        )
    ]
    if not chosen:
        raise ValueError(
            f"--rows is {options.rows!r}, which no row of {options.suite} matches; "
            "--list shows them."
        )
    return chosen
