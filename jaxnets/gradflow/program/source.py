"""The line of the user's code that made an equation."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from jax.extend.core import JaxprEqn


# The directory of this library.
_LIBRARY = pathlib.PurePath(__file__).parents[2]
_INSTALLED = {"site-packages", "dist-packages"}


def source_line(eqns: Sequence[JaxprEqn]) -> str:
    """Return the file and line of the user's code that made an equation.

    It is the innermost line that is in no installed package, such as "model.py:37".

    Args:
        eqns: The equation and the calls around it, innermost first.

    Returns:
        The name of the file, a colon and the number of the line; or an empty string.

    Example:
        >>> source_line([])
        ''
    """
    found = position(eqns)
    return "" if found is None else f"{pathlib.PurePath(found.file).name}:{found.line}"


class Position(NamedTuple):
    """A call in the user's code.

    Attributes:
        file: The path of the file.
        line: The number of the line.
        instruction: What distinguishes calls in one line.
    """

    file: str
    line: int
    instruction: int


def position(eqns: Sequence[JaxprEqn]) -> Position | None:
    """Return the call of which `source_line` gives the line, or None."""
    for eqn in eqns:
        traceback = eqn.source_info.traceback
        if traceback is None:
            continue
        _, instructions = traceback.raw_frames()
        for frame, number in zip(traceback.frames, instructions, strict=True):
            # Beyond it are the lines of the call for which JAX traced the body. This
            # may be another call, whose body JAX found in its cache.
            if frame.function_name.startswith("trace_to_jaxpr") and eqn is not eqns[-1]:
                break
            if is_users(pathlib.PurePath(frame.file_name)):
                return Position(frame.file_name, frame.line_num, number)
    return None


def is_users(path: pathlib.PurePath) -> bool:
    """Return whether a file is neither installed nor of this library."""
    # Code that Python generates has a name such as "<frozen runpy>".
    made = path.name.startswith("<frozen")
    return not (made or _INSTALLED & {*path.parts} or path.is_relative_to(_LIBRARY))
